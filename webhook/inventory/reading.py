"""Reads the inventory from the API server."""

from collections.abc import Iterator
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec

from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.client import ClusterError, KubernetesClient

T = TypeVar("T")
_PAGE: Final = 500
_MOST_PAGES: Final = 40
"""The maximum number of pages. More objects are an error: a part of the claims would make the others unavailable."""
_SECONDS: Final = 60
"""The maximum duration of a reading. Checked between requests."""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    volume_name: str = ""


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


class _Claim(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _Driver(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _ListMeta(msgspec.Struct, frozen=True):
    following: str = msgspec.field(default="", name="continue")


class _Claims(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: tuple[_Claim, ...] | None


class _Drivers(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: tuple[_Driver, ...] | None


class _Version(msgspec.Struct, frozen=True):
    major: str
    minor: str


_claims = msgspec.json.Decoder(_Claims)
_drivers = msgspec.json.Decoder(_Drivers)
_version = msgspec.json.Decoder(_Version)


def read_inventory(api: KubernetesClient, prefix: str) -> Inventory:
    """Read the claims that have the label PREFIX/model, the CSI drivers and the version. Raises ClusterError."""
    reader = _Reader(api)
    claims = {
        (claim.metadata.namespace, claim.metadata.name): Claim(
            (claim.metadata.labels or {}).get(f"{prefix}/state", ""),
            claim.status.phase,
            claim.spec.volume_name,
            claim.metadata.deletion_timestamp is not None,
        )
        for page in reader.pages(_claims, "/api/v1/persistentvolumeclaims", f"{prefix}/model")
        for claim in page.items or ()
    }
    drivers = frozenset(
        driver.metadata.name
        for page in reader.pages(_drivers, "/apis/storage.k8s.io/v1/csidrivers")
        for driver in page.items or ()
    )
    version = reader.get(_version, "/version")
    return Inventory(claims, drivers, f"{version.major}.{version.minor.rstrip('+')}")


class _Reader:
    """The requests of one reading, which end together at a deadline."""

    def __init__(self, api: KubernetesClient) -> None:
        self._api, self._deadline = api, monotonic() + _SECONDS

    def pages(self, decoder: msgspec.json.Decoder[Any], path: str, selector: str = "") -> Iterator[Any]:
        """The pages of a list, one after the other, so that only one is in memory. Raises ClusterError."""
        query = [("limit", str(_PAGE)), *([("labelSelector", selector)] if selector else [])]
        following = ""
        for _ in range(_MOST_PAGES):
            page = self.get(decoder, path, [*query, *([("continue", following)] if following else [])])
            yield page
            following = page.metadata.following
            if not following:
                return
        raise ClusterError(f"GET {path}: the list has more than {_MOST_PAGES} pages of {_PAGE} objects")

    def get(self, decoder: msgspec.json.Decoder[T], path: str, query: list[tuple[str, str]] | None = None) -> T:
        """Send a request, and decode its response. Raises ClusterError."""
        if monotonic() > self._deadline:
            raise ClusterError(f"GET {path}: the inventory was not read within {_SECONDS} s")
        response = self._api.request("GET", path, query=query or ())
        if response.status == HTTPStatus.FORBIDDEN:
            raise ClusterError(
                f"GET {path}: the API server answers 403; the chart's config.inventory.enabled grants it"
            )
        if response.status != HTTPStatus.OK:
            raise ClusterError(f"GET {path}: the API server answers {response.status}")
        try:
            return decoder.decode(response.content)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise ClusterError(f"GET {path}: the response cannot be decoded: {error}") from None
