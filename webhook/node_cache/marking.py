"""Keeps the driver's own node marked: by a label for each version in its cache, and without the startup taint.

It compares what the node should have with what it was given last, after each change of the cache and every minute. The
API server is asked only after a change, and now and then, because asking starts the worker.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, NamedTuple, Protocol

from webhook.http.log import FIELDS
from webhook.model.objects import CACHED, cached_label
from webhook.node_cache.entry import Entry, key_of
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.refusals import Refused
from webhook.settings import Settings
from webhook.strategies.node_cache import NAME

TAINT: Final = "node-cache-not-ready"
"""The key of the startup taint, after the prefix."""
_LOOK_SECONDS: Final = 60.0
_REPEAT_SECONDS: Final = 600.0
"""After how long the node is read again although nothing has changed: somebody may have changed it."""
_MOST_LABELS: Final = 200
"""Every kubelet and controller that watches nodes gets them all."""
_log = logging.getLogger(__name__)


class NodeMarker(Protocol):
    """The part of the worker's client that changes the node."""

    async def mark(self, node: str, prefix: str, labels: tuple[str, ...], taint: str) -> None:
        """Make the node's labels with the prefix these, and remove the taint. Raises Refused."""


class _Marks(NamedTuple):
    labels: tuple[str, ...]
    taint: str
    """The taint to remove; empty: none."""


class Marking:
    """Marks one node. Used in one event loop."""

    def __init__(  # noqa: PLR0913 - keyword arguments
        self,
        *,
        node: str,
        folder: CacheFolder,
        worker: NodeMarker,
        settings: Settings,
        metrics: CacheMetrics,
        is_ready: Callable[[], bool],
        changed: asyncio.Event,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`is_ready`: whether the versions to fetch in advance are there. `changed` is set when the cache changes."""
        self._node, self._folder, self._worker, self._settings = node, folder, worker, settings
        self._metrics, self._is_ready, self._changed, self._clock = metrics, is_ready, changed, clock
        self._options = settings.of_strategies[NAME]
        self._last: _Marks | None = None
        """What the node was given last; None if that failed."""
        self._repeat_at = 0.0
        self._problem = ""
        """The problem that was logged."""

    async def run(self) -> None:
        """Mark the node until cancelled, if the settings want that."""
        while self._options.placement or self._options.startup_taint:
            self._changed.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()

    async def look(self) -> None:
        """Mark the node if it may need that."""
        prefix = self._settings.annotation_prefix
        try:
            marks = self._marks()
            if marks == self._last and self._clock() < self._repeat_at:
                return
            self._last = None
            await self._worker.mark(self._node, f"{prefix}/{CACHED}", marks.labels, marks.taint)
        except (Refused, OSError) as error:
            self._metrics.marking_failures.inc()
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("node not marked", extra={FIELDS: {"problem": self._problem}})
            return
        self._last, self._repeat_at, self._problem = marks, self._clock() + _REPEAT_SECONDS, ""

    def _marks(self) -> _Marks:
        prefix = self._settings.annotation_prefix
        labels = cached_labels(self._folder.entries().values(), self._settings) if self._options.placement else ()
        taint = f"{prefix}/{TAINT}" if self._options.startup_taint and self._is_ready() else ""
        return _Marks(tuple(f"{prefix}/{name}" for name in labels), taint)


def cached_labels(entries: Iterable[Entry], settings: Settings) -> tuple[str, ...]:
    """The labels of the versions that pods can ask for, without the prefix: of those that were mounted last."""
    found = dict[str, None]()
    for entry in sorted(entries, key=lambda each: each.used_at, reverse=True):
        marker, source = entry.marker, settings.all_sources.get(entry.marker.source)
        # A source of the same name may have another endpoint than when the version was downloaded.
        if source and entry.key == key_of(marker.uri, source.endpoint_url, marker.digest):
            found[cached_label(source.endpoint_url, marker.uri)] = None
    return tuple(sorted(list(found)[:_MOST_LABELS]))
