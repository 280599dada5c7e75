"""A collection of the API server in memory: it is listed once, and then watched."""

import logging
import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from threading import Event, Lock
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec

from webhook.controller.observed import Key, Observed
from webhook.controller.steps import Resource
from webhook.http.log import FIELDS
from webhook.kubernetes.client import ClusterError, KubernetesClient

_PAGE: Final = 500
_MOST_PAGES: Final = 400
_WATCH_SECONDS: Final = (240, 360)
"""How long a watch lasts: between these. The API server ends it, and the next one continues."""
_SILENCE_SECONDS: Final = 400
"""How long a watch may be silent: longer than it lasts."""
_LONGEST_PAUSE_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    following: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: tuple[msgspec.Raw, ...] | None


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: _ListMeta


_lists: Final = msgspec.json.Decoder(_List)
_events: Final = msgspec.json.Decoder(_Event)
_bookmarks: Final = msgspec.json.Decoder(_Bookmark)


class Expired(ClusterError):
    """The API server no longer has the changes since the last one that was seen."""


class Watch(NamedTuple):
    """What is watched."""

    resource: Resource
    kind: type[Observed]
    selector: str = ""
    """A label selector."""
    namespace: str = ""
    """Empty: all namespaces."""
    is_optional: bool = False
    """Whether the API may lack the resource, which then has no objects."""


class Collection:
    """The objects of one resource. `run` keeps them current, in a thread of its own; the rest is thread-safe."""

    def __init__(self, api: KubernetesClient, watch: Watch, changed: Callable[[], None]) -> None:
        """`changed` is called after each change."""
        self.resource = watch.resource
        self._api, self._path, self._changed = api, watch.resource.path(watch.namespace), changed
        self._selector = [("labelSelector", watch.selector)] if watch.selector else []
        self._is_optional = watch.is_optional
        self._decoder: msgspec.json.Decoder[Observed] = msgspec.json.Decoder(watch.kind)
        self._lock = Lock()
        self._objects: dict[Key, Any] = {}
        self._written: dict[Key, int] = {}
        """The resource versions of what this process wrote: older news about these objects is ignored."""
        self._version = ""
        """The version to watch from. Empty: list first."""
        self._news = 0
        """How many events and bookmarks have come."""
        self._is_read = Event()
        self.heard_at = monotonic()
        """When the API server sent something, on the monotonic clock."""

    @property
    def is_read(self) -> bool:
        """Whether it was listed."""
        return self._is_read.is_set()

    def objects(self) -> Mapping[Key, Any]:
        """The objects as of now."""
        with self._lock:
            return dict(self._objects)

    def written(self, content: bytes) -> None:
        """Take over an object that the API server returned for a write of this process.

        The watch may have been faster, and may have told of a later change or the end of the object since.
        """
        written = self._decoder.decode(content)
        number = _number(written.metadata.resource_version)
        with self._lock:
            if number > max(_number(self._version), self._written.get(written.key, 0)):
                self._written[written.key] = number
                self._objects[written.key] = written

    def run(self, stopped: Event) -> None:
        """List and watch until stopped. A watch that had news is continued, and otherwise the next one waits."""
        failures, known = 0, ""
        while not stopped.is_set():
            before = self._news
            error = self._attempt(stopped)
            has_news, problem = self._news > before, str(error or "")
            if error and problem != known:
                fields = {"resource": self.resource.plural, "problem": problem}
                is_known = isinstance(error, ClusterError)
                _log.warning("watch interrupted", extra={FIELDS: fields}, exc_info=None if is_known else error)
            known = problem
            failures = (0 if has_news else failures) + (1 if error or not has_news else 0)
            if failures:
                longest = min(2.0 ** min(failures, 10) / 2, _LONGEST_PAUSE_SECONDS)
                stopped.wait(random.uniform(longest / 2, longest))  # noqa: S311 - jitter

    def _attempt(self, stopped: Event) -> Exception | None:
        """List, unless there is a version to watch from, and watch. Returns the error that ended it."""
        before = self._news
        try:
            if not self._version:
                self.refresh()
            self._watch(stopped)
        except Expired as error:
            self._version = ""
            return error
        except ClusterError as error:
            if self._news == before:
                self._version = ""
            return error
        except Exception as error:  # noqa: BLE001 - without this thread, all decisions would be about the past
            self._version = ""
            return error
        return None

    def refresh(self) -> None:
        """Replace all objects by those of the API server. Raises ClusterError."""
        found: dict[Key, Any] = {}
        following, version = "", ""
        for _ in range(_MOST_PAGES):
            query = [("limit", str(_PAGE)), *self._selector, *([("continue", following)] if following else [])]
            response = self._api.request("GET", self._path, query=query)
            if response.status == HTTPStatus.NOT_FOUND and self._is_optional:
                self._replace({})
                raise ClusterError(f"the API server has no {self.resource.plural}")
            if response.status == HTTPStatus.GONE:
                raise Expired("the list changed too much while it was read")
            if response.status != HTTPStatus.OK:
                raise ClusterError(f"{response.what}: the API server answers {response.status}")
            page = _lists.decode(response.content)
            for item in page.items or ():
                decoded = self._decoder.decode(item)
                found[decoded.key] = decoded
            following, version = page.metadata.following, page.metadata.resource_version
            if not following:
                break
        else:
            raise ClusterError(f"GET {self._path}: the list has more than {_MOST_PAGES} pages of {_PAGE} objects")
        self._replace(found, version)

    def _replace(self, found: dict[Key, Any], version: str = "") -> None:
        listed = _number(version)
        with self._lock:
            self._version = version
            newer = {key for key, written in self._written.items() if written > listed}
            kept = {key: known for key, known in self._objects.items() if key in newer}
            self._objects = {**found, **kept}
            self._written = {key: written for key, written in self._written.items() if key in newer}
        self.heard_at = monotonic()
        self._is_read.set()
        self._changed()

    def _watch(self, stopped: Event) -> None:
        """Take over changes until the API server ends the watch. Raises ClusterError and Expired."""
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - not all watches end at once
        query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(seconds)),
            *self._selector,
        ]
        for line in self._api.stream(self._path, query, _SILENCE_SECONDS):
            if stopped.is_set():
                return
            self.heard_at = monotonic()
            event = _events.decode(line)
            if event.type == "ERROR":  # most often 410: the version is too old
                raise Expired("the API server has ended the watch with an error")
            version = _bookmarks.decode(event.object).metadata.resource_version
            if event.type == "BOOKMARK":
                self._version = version
            else:
                self._take(event.type, self._decoder.decode(event.object), version)
            self._news += 1
        self.heard_at = monotonic()

    def _take(self, change: str, changed: Observed, version: str) -> None:
        with self._lock:
            self._version = version
            if _number(version) < self._written.get(changed.key, 0):
                return
            self._written.pop(changed.key, None)
            if change == "DELETED":
                self._objects.pop(changed.key, None)
            else:
                self._objects[changed.key] = changed
        self._changed()


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
