"""The catalog of a running server: listings are refreshed in the background, lookups run when pods need them.

Requests to S3 run in threads. Only the event loop's thread changes the catalog.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.live import LOOKUP_SECONDS, LiveCatalog, StaticCatalog
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import VersionKey
from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.settings import Settings

_THREADS: Final = 8
_BACKGROUND_THREADS: Final = 2
_MOST_WAITING: Final = 64
"""The maximum number of concurrent lookups. Decisions that need more continue without them."""
_RETRY_SECONDS: Final = 5
_MOST_REPEATED: Final = 50
"""The maximum number of versions looked up again after each listing."""
_S3_SECONDS: Final = 3
"""S3's timeout. Short, because a waiting thread delays the end of the process."""
_FIRST_SECONDS: Final = 5.0
"""How long the server's readiness waits for the first listing, unless `catalog.required` is set."""
_log = logging.getLogger(__name__)
A = TypeVar("A")
T = TypeVar("T")


class CatalogRefresher:
    """Refreshes an S3Catalog, and reports its state to metrics and health."""

    def __init__(self, catalog: S3Catalog, metrics: Metrics, health: Health, *, required: bool) -> None:
        self.catalog = catalog
        self._metrics, self._health, self._required = metrics, health, required
        self._threads = ThreadPoolExecutor(_THREADS, "catalog")
        self._listers = ThreadPoolExecutor(len(catalog.sources), "catalog-listing")
        self._background = ThreadPoolExecutor(_BACKGROUND_THREADS, "catalog-background")
        self._lookups: dict[VersionKey, asyncio.Task[None]] = {}
        self._refreshes: dict[str, asyncio.Task[None]] = {}
        self._untried = set(catalog.sources)
        self._report_health()
        for source in catalog.sources:
            metrics.watch_catalog(source, partial(catalog.status, source))

    async def refresh(self, seconds: float) -> None:
        """List every source every `seconds`, until cancelled. After a failure, retry sooner."""
        if not self._required:
            asyncio.get_running_loop().call_later(_FIRST_SECONDS, self._stop_waiting)
        await asyncio.gather(*(self._refresh(source, seconds) for source in self.catalog.sources))

    async def _refresh(self, source: str, seconds: float) -> None:
        while True:
            is_read = await self._list(source)
            self._untried.discard(source)
            self._report_health()
            if is_read and (source not in self._refreshes or self._refreshes[source].done()):
                self._refreshes[source] = asyncio.create_task(self._repeat_lookups(source))
            await asyncio.sleep(seconds if is_read else min(seconds, _RETRY_SECONDS))

    async def _repeat_lookups(self, source: str) -> None:
        """Look up stale versions. In separate threads, so that they do not delay the lookups of pods."""
        keys = self.catalog.stale(source, _MOST_REPEATED)
        await asyncio.gather(*(self._run_lookup(key, self._background) for key in keys))

    def _stop_waiting(self) -> None:
        self._untried.clear()
        self._report_health()

    def _report_health(self) -> None:
        waiting = [
            source
            for source in self.catalog.sources
            if source in self._untried or (self._required and self.catalog.listing(source) is None)
        ]
        self._health.catalog = f"the catalog has not been read yet: {', '.join(waiting)}" if waiting else None

    async def _list(self, source: str) -> bool:
        before = self.catalog.status(source)
        try:
            self.catalog.update(source, await self._call(self._listers, self.catalog.list_source, source))
        except CatalogError as error:
            self._count_error(source, type(error).__name__)
            self.catalog.listing_failed(source, str(error))
        except Exception:  # noqa: BLE001 - an error in a listing must not stop admission
            self._count_error(source, "Unexpected")
            self.catalog.listing_failed(source, "unexpected error")
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

    async def look_up(self, keys: Sequence[VersionKey], seconds: float) -> None:
        """Look up these versions. Concurrent requests for the same version share one lookup."""
        lookups = {key: self._look_up(key) for key in keys if key in self._lookups or self._has_room()}
        if lookups:
            await asyncio.wait(lookups.values(), timeout=max(seconds, 0))
        for key in keys:
            if key not in lookups or not lookups[key].done():  # the lookup continues, and later pods use its result
                self._metrics.catalog_lookups.labels("late").inc()
                error = f"no answer within {LOOKUP_SECONDS:.0f} s"
                self.catalog.cache(key, VersionStatus("unreachable", error=error))

    def _has_room(self) -> bool:
        return len(self._lookups) < _MOST_WAITING

    def _look_up(self, key: VersionKey) -> asyncio.Task[None]:
        if key not in self._lookups:
            task = asyncio.create_task(self._run_lookup(key, self._threads))
            self._lookups[key] = task
            task.add_done_callback(lambda _: self._lookups.pop(key, None))
        return self._lookups[key]

    async def _run_lookup(self, key: VersionKey, threads: Executor) -> None:
        try:
            result = await self._call(threads, self.catalog.look_up, key)
        except Exception:  # noqa: BLE001 - an internal error must not refuse a pod
            self._count_error(key.source, "Unexpected")
            self.catalog.cache(key, VersionStatus("unreachable", error="unexpected error"))
            _log.exception("unexpected error", extra={FIELDS: {"source": key.source}})
            return
        state = result.state if isinstance(result, VersionStatus) else "listed"
        self._metrics.catalog_lookups.labels(state).inc()
        if state in ("unreachable", "denied", "unreadable"):
            self._count_error(key.source, state.capitalize())
        if state == "unreachable":
            self.catalog.back_off(key.source)
        self.catalog.cache(key, result)

    def _count_error(self, source: str, kind: str) -> None:
        self._metrics.catalog_errors.labels(source, kind).inc()

    @staticmethod
    async def _call(threads: Executor, function: Callable[[A], T], argument: A) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, function, argument)

    def close(self) -> None:
        """Start no further requests to S3. Running ones finish, or end with the process."""
        for threads in (self._threads, self._listers, self._background):
            threads.shutdown(wait=False, cancel_futures=True)


def live_catalog(settings: Settings, metrics: Metrics, health: Health) -> LiveCatalog:
    """The catalog of the settings. Its sources are not listed yet."""
    if settings.catalog.mode == "none":
        return StaticCatalog(ExactCatalog(settings))
    catalog = S3Catalog(settings, seconds=_S3_SECONDS, attempts=2)
    return CatalogRefresher(catalog, metrics, health, required=settings.catalog.required)
