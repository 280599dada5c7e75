"""Lists of the API server, read in pages within limits of number and time."""

from collections.abc import Iterator
from http import HTTPStatus
from time import monotonic
from typing import Final, Generic, TypeVar

import msgspec

from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient

T = TypeVar("T")
PAGE: Final = 500
"""The maximum number of objects in a page."""


class ListMeta(msgspec.Struct, frozen=True):
    """meta/v1 ListMeta."""

    following: str = msgspec.field(default="", name="continue")
    """Where the next page starts. Empty on the last page."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    metadata: ListMeta
    items: tuple[T, ...] | None


class ListReader:
    """Requests of one reading, which end together at a deadline: a list is read whole, or an error is raised."""

    def __init__(self, api: KubernetesClient, what: str, seconds: float, remedy: str) -> None:
        """`what` is read, and `remedy` is what to do about missing rights, both for messages.

        The reading may take `seconds`. This is checked between requests.
        """
        self._api, self._what, self._seconds, self._remedy = api, what, seconds, remedy
        self._deadline = monotonic() + seconds

    def items(
        self, decoder: msgspec.json.Decoder[Page[T]], path: str, most_pages: int, selector: str = ""
    ) -> Iterator[T]:
        """The items of a list. Only one page is in memory. Raises ClusterError, also if there are more pages."""
        query = [("limit", str(PAGE)), *([("labelSelector", selector)] if selector else [])]
        following = ""
        for _ in range(most_pages):
            page = self.get(decoder, path, [*query, *([("continue", following)] if following else [])])
            yield from page.items or ()
            following = page.metadata.following
            if not following:
                return
        raise ClusterError(f"GET {path}: the list has more than {most_pages} pages of {PAGE} objects")

    def get(self, decoder: msgspec.json.Decoder[T], path: str, query: list[tuple[str, str]] | None = None) -> T:
        """Send a request, and decode its response. Raises ClusterError."""
        return self._decoded(decoder, path, self._request(path, query))

    def find(self, decoder: msgspec.json.Decoder[T], path: str) -> T | None:
        """As `get`. None if the path does not exist."""
        response = self._request(path)
        return None if response.status == HTTPStatus.NOT_FOUND else self._decoded(decoder, path, response)

    def _request(self, path: str, query: list[tuple[str, str]] | None = None) -> ApiResponse:
        if monotonic() > self._deadline:
            raise ClusterError(f"GET {path}: the {self._what} was not read within {self._seconds} s")
        return self._api.request("GET", path, query=query or ())

    def _decoded(self, decoder: msgspec.json.Decoder[T], path: str, response: ApiResponse) -> T:
        if response.status == HTTPStatus.FORBIDDEN:
            raise ClusterError(f"GET {path}: the API server answers 403; {self._remedy}")
        if response.status != HTTPStatus.OK:
            raise ClusterError(f"GET {path}: the API server answers {response.status}")
        try:
            return decoder.decode(response.content)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise ClusterError(f"GET {path}: the response cannot be decoded: {error}") from None
