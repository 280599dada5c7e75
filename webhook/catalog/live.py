"""The catalog in a running server: kept fresh in the background, and looked up for the pod that can't wait for that.

S3 is asked in threads; what is known changes in the event loop's alone, between two requests.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Final, Protocol, TypeVar

from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.store import CatalogError
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey
from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health

LOOKUP_SECONDS: Final = 1.0
"""How long a pod waits for S3, however many versions it asks for."""
_THREADS: Final = 8
_BACKGROUND_THREADS: Final = 2
_MOST_WAITING: Final = 64
"""Looks under way at a time; a pod that needs more is decided on without."""
_RETRY_SECONDS: Final = 5
_MOST_LOOKS: Final = 50
"""Versions looked at again after each listing."""
_FIRST_SECONDS: Final = 5.0
"""How long a server that may start without S3 waits for the first listing, which takes well under a second."""
_log = logging.getLogger(__name__)
A = TypeVar("A")
T = TypeVar("T")


class LiveCatalog(Protocol):
    """A catalog that may have to look first."""

    @property
    def catalog(self) -> Catalog:
        """What answers from memory."""

    async def look_up(self, places: Sequence[VersionKey], seconds: float) -> None:
        """Look at these versions, for so long at most. Afterwards the catalog has an answer, be it that S3 has none."""

    async def keep(self, seconds: float) -> None:
        """Read all there is this often, until cancelled."""

    def close(self) -> None:
        """Begin nothing any more."""


async def settle(decide: Callable[[Catalog], T], live: LiveCatalog) -> T:
    """Decide from memory. Where that does not tell yet, look at S3 first, and decide again."""
    deadline = None
    while True:
        try:
            return decide(live.catalog)
        except LookupRequired as required:
            deadline = deadline or perf_counter() + LOOKUP_SECONDS
            await live.look_up(required.keys, deadline - perf_counter())


class StaticCatalog:
    """For a catalog that never has to look."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    async def look_up(self, places: Sequence[VersionKey], seconds: float) -> None:
        """Nothing to do."""

    async def keep(self, seconds: float) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class CatalogRefresher:
    """Keeps an S3Catalog."""

    def __init__(self, catalog: S3Catalog, metrics: Metrics, health: Health, *, required: bool) -> None:
        self.catalog = catalog
        self._metrics, self._health, self._required = metrics, health, required
        self._threads = ThreadPoolExecutor(_THREADS, "catalog")
        self._listers = ThreadPoolExecutor(len(catalog.sources), "catalog-listing")
        self._background = ThreadPoolExecutor(_BACKGROUND_THREADS, "catalog-background")
        self._looks: dict[VersionKey, asyncio.Task[None]] = {}
        self._refreshes: dict[str, asyncio.Task[None]] = {}
        self._untried = set(catalog.sources)
        self._tell_health()
        for source in catalog.sources:
            metrics.watch_catalog(source, partial(catalog.status, source))

    async def keep(self, seconds: float) -> None:
        """List every source this often, for ever. A source that can't be listed is tried again sooner."""
        if not self._required:
            asyncio.get_running_loop().call_later(_FIRST_SECONDS, self._wait_no_longer)
        await asyncio.gather(*(self._keep(source, seconds) for source in self.catalog.sources))

    async def _keep(self, source: str, seconds: float) -> None:
        while True:
            is_read = await self._read(source)
            self._untried.discard(source)
            self._tell_health()
            if is_read and (source not in self._refreshes or self._refreshes[source].done()):
                self._refreshes[source] = asyncio.create_task(self._look_again(source))
            await asyncio.sleep(seconds if is_read else min(seconds, _RETRY_SECONDS))

    async def _look_again(self, source: str) -> None:
        """At versions in use of which something may have changed: beside the pods' own looks, and beside listing."""
        places = self.catalog.due(source, _MOST_LOOKS)
        await asyncio.gather(*(self._find(place, self._background) for place in places))

    def _wait_no_longer(self) -> None:
        self._untried.clear()
        self._tell_health()

    def _tell_health(self) -> None:
        waiting = [
            source
            for source in self.catalog.sources
            if source in self._untried or (self._required and self.catalog.names(source) is None)
        ]
        self._health.catalog = f"the catalog has not been read yet: {', '.join(waiting)}" if waiting else None

    async def _read(self, source: str) -> bool:
        before = self.catalog.status(source)
        try:
            self.catalog.take(source, await self._call(self._listers, self.catalog.read, source))
        except CatalogError as error:
            self._count_error(source, type(error).__name__)
            self.catalog.fail(source, str(error))
        except Exception:  # noqa: BLE001 - whatever S3 has answered, admission goes on
            self._count_error(source, "Unexpected")
            self.catalog.fail(source, "unexpected error")
            _log.exception("unexpected error", extra={FIELDS: {"source": source}})
        status = self.catalog.status(source)
        if status.problem != before.problem or before.age is None:
            fields = {"source": source, "models": status.models, "versions": status.versions}
            if not status.is_listed:
                _log.error("catalog not read", extra={FIELDS: {**fields, "problem": status.problem}})
            elif status.problem:
                self._count_error(source, "Partial")
                _log.warning("catalog read in part", extra={FIELDS: {**fields, "problem": status.problem}})
            else:
                _log.info("catalog read", extra={FIELDS: fields})
        return status.is_listed

    async def look_up(self, places: Sequence[VersionKey], seconds: float) -> None:
        """Look at these versions: each once, however many pods wait for it."""
        looks = {place: self._look(place) for place in places if place in self._looks or self._has_room()}
        if looks:
            await asyncio.wait(looks.values(), timeout=max(seconds, 0))
        for place in places:
            if place not in looks or not looks[place].done():  # it goes on, and the pods after this one have its answer
                self._metrics.catalog_lookups.labels("late").inc()
                self.catalog.remember(place, VersionStatus("away", why=f"no answer within {LOOKUP_SECONDS:.0f} s"))

    def _has_room(self) -> bool:
        return len(self._looks) < _MOST_WAITING

    def _look(self, place: VersionKey) -> asyncio.Task[None]:
        if place not in self._looks:
            task = asyncio.create_task(self._find(place, self._threads))
            self._looks[place] = task
            task.add_done_callback(lambda _: self._looks.pop(place, None))
        return self._looks[place]

    async def _find(self, place: VersionKey, threads: Executor) -> None:
        try:
            found = await self._call(threads, self.catalog.look, place)
        except Exception:  # noqa: BLE001 - a fault of ours is no reason to refuse a pod
            self._count_error(place.source, "Unexpected")
            self.catalog.remember(place, VersionStatus("away", why="unexpected error"))
            _log.exception("unexpected error", extra={FIELDS: {"source": place.source}})
            return
        state = found.state if isinstance(found, VersionStatus) else "listed"
        self._metrics.catalog_lookups.labels(state).inc()
        if state in ("away", "denied", "unreadable"):
            self._count_error(place.source, state.capitalize())
        if state == "away":
            self.catalog.spare(place.source)
        self.catalog.remember(place, found)

    def _count_error(self, source: str, kind: str) -> None:
        self._metrics.catalog_errors.labels(source, kind).inc()

    @staticmethod
    async def _call(threads: Executor, function: Callable[[A], T], argument: A) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, function, argument)

    def close(self) -> None:
        """Begin nothing any more. What is under way ends by itself, or with the process."""
        for threads in (self._threads, self._listers, self._background):
            threads.shutdown(wait=False, cancel_futures=True)
