"""Gives pods their volumes: checks who asks, has the version in the cache, and mounts it."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from webhook.admission import rules
from webhook.annotations.parsing import parse
from webhook.http.log import FIELDS
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.node_cache import mounts
from webhook.node_cache.budget import NoRoom, Space, evictions, excess, held_by, space_of
from webhook.node_cache.entry import Entry, MountedVolume, is_key
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.protocol import Found, Volume
from webhook.node_cache.refusals import Refused
from webhook.node_cache.worker_client import WorkerClient
from webhook.settings import Settings
from webhook.strategies.node_cache import NAME

_TARGET: Final = re.compile(r"/pods/[A-Za-z0-9-]+/volumes/kubernetes\.io~csi/[a-z0-9][a-z0-9.-]*/mount")
_MARGIN_SECONDS: Final = 5.0
"""How long before its deadline kubelet is told that the download goes on."""
_MOST_FETCHES: Final = 3
_LONGEST_SECONDS: Final = 6 * 3600.0
"""How long a version that is fetched in advance may take."""
_GIVE_BACK_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)


class _Fetch:
    """A download under way."""

    def __init__(self, volume: Volume, total: int) -> None:
        self.volume, self.total, self.bytes, self.started = volume, total, 0, monotonic()
        self.task: asyncio.Task[None] | None = None

    def progress(self, done: int, total: int) -> None:
        self.bytes, self.total = done, total or self.total  # 0 before it begins

    def __str__(self) -> str:
        speed = self.bytes / max(monotonic() - self.started, 0.001)
        left = f", {(self.total - self.bytes) / speed:.0f} s left" if speed else ""
        return f"{self.bytes / 2**30:.1f} of {self.total / 2**30:.1f} GiB, {speed / 2**20:.0f} MiB/s{left}"


class Publisher:
    """Mounts and unmounts volumes. Used in one event loop."""

    def __init__(self, folder: CacheFolder, worker: WorkerClient, settings: Settings, metrics: CacheMetrics) -> None:
        self._folder, self._worker, self._settings, self._metrics = folder, worker, settings, metrics
        self._options = settings.of_strategies[NAME]
        self._fetches: dict[str, _Fetch] = {}
        self._wanted: dict[str, object] = {}
        """The newest call that is to mount a volume, by target: an earlier one that was abandoned must not."""
        self._removing = asyncio.Lock()
        self._leaving = set[str]()
        """The keys of versions that are being removed."""
        self._used = Counter[str]()
        """How many volumes are being mounted, by key."""
        self.kept = frozenset[str]()
        """The keys of versions that stay, whether they are mounted or not."""
        self.changed = asyncio.Event()
        """Set when a version is complete or evicted."""

    async def publish(self, target: str, volume: Volume, seconds: float) -> None:
        """Mount a version at `target`, within `seconds`. Raises Refused, and OSError."""
        self._folder.check()
        path = self._path(target)
        if self._is_mounted(target):  # asked again, because the answer did not arrive
            return
        self._check_rules(volume)
        deadline = monotonic() + seconds - _MARGIN_SECONDS
        with self._newest(target) as is_newest:
            async with self._counting(), self._cached(volume, deadline) as (found, entry):
                if not is_newest():
                    raise Refused("NotReady", "the volume was removed, or asked for again, meanwhile")
                self._mount(found.key, path)
                self._folder.record(MountedVolume(target, volume.source, volume.model, volume.asked))
        if entry:
            self._metrics.hit(entry.marker.seconds)
        else:
            self._metrics.misses.inc()
        _log.info("volume mounted", extra={FIELDS: {"model": volume.model, "version": volume.version}})

    @contextmanager
    def _newest(self, target: str) -> Iterator[Callable[[], bool]]:
        """Yields whether no later call, and no removal, was about this target."""
        call = self._wanted[target] = object()
        try:
            yield lambda: self._wanted.get(target) is call
        finally:
            if self._wanted.get(target) is call:
                del self._wanted[target]

    async def fetch(self, volume: Volume) -> str:
        """Have a version in the cache, however long it takes. Returns its key. Raises Refused, and OSError."""
        async with self._counting(), self._cached(volume, monotonic() + _LONGEST_SECONDS) as (found, _):
            return found.key

    @asynccontextmanager
    async def _counting(self) -> AsyncIterator[None]:
        """Count what fails."""
        try:
            yield
        except Refused as error:
            self._metrics.failures.labels(error.reason).inc()
            raise
        except OSError:
            self._metrics.failures.labels("Unreachable").inc()
            raise

    @asynccontextmanager
    async def _cached(self, volume: Volume, deadline: float) -> AsyncIterator[tuple[Found, Entry | None]]:
        """Have a version in the cache, from which nothing evicts it in the context.

        Yields its entry if it was there before. Raises Refused.
        """
        async with _until(deadline, lambda: "S3 has not answered yet"):
            found = await self._worker.look(volume)
        if not is_key(found.key):
            raise Refused("Unreachable", "the answer of the worker cannot be used")
        with self._keeping(found.key):
            if found.key in self._leaving:
                raise Refused("NotReady", "the version is being removed, and is fetched again then")
            entry = self._checked(found.key, volume)
            for _ in range(_MOST_FETCHES):  # one that others wait for may check less than this volume wants
                if self._checked(found.key, volume):
                    break
                await self._fetched(found, volume, deadline)
            else:
                raise Refused("NotReady", "the version was fetched, and is not there")
            yield found, entry

    def unpublish(self, target: str) -> None:
        """Unmount a volume, if it is mounted. Raises Refused, and OSError."""
        path = self._path(target)
        self._wanted.pop(target, None)
        while mounts.unmount(path):
            pass
        self._folder.forget(target)
        try:
            path.rmdir()
        except FileNotFoundError:
            return

    def _path(self, target: str) -> Path:
        """The target, if it is a path that kubelet gives to volumes."""
        root = self._options.kubelet_folder
        if not target.startswith(root) or not _TARGET.fullmatch(target[len(root) :]):
            raise Refused("InvalidArgument", f"the target {target!r} is not that of a volume below {root}")
        return Path(target)

    def _check_rules(self, volume: Volume) -> None:
        if volume.pod is None:
            return
        request = self._request(volume)
        try:
            rules.check(request, NAME, volume.pod.namespace, volume.pod.service_account, self._settings)
        except Refusal as refusal:
            raise Refused("Unauthorized", str(refusal)) from refusal

    def _request(self, volume: Volume) -> ModelRequest:
        """The names, checked as those of annotations. Raises Refused."""
        prefix = self._settings.annotation_prefix
        named = {"model": volume.model, "version": volume.version, "source": volume.source, "strategy": NAME}
        try:
            (request,) = parse({f"{prefix}/{name}": value for name, value in named.items()}, self._settings).models
        except Refusal as refusal:
            raise Refused("InvalidArgument", str(refusal)) from refusal
        return request

    @contextmanager
    def _keeping(self, key: str) -> Iterator[None]:
        """Nothing evicts the version meanwhile."""
        self._used[key] += 1
        try:
            yield
        finally:
            self._used[key] -= 1
            self._used += Counter()  # without zeros

    async def _fetched(self, found: Found, volume: Volume, deadline: float) -> None:
        """Wait until a version is in the cache. All who want it wait for one download.

        Returns as well if the one who asked for that download may not read the version: this one was shown to.
        """
        joined = fetch = self._fetches.get(found.key)
        if fetch is None:
            fetch = self._fetches[found.key] = _Fetch(volume, found.bytes)
            fetch.task = asyncio.create_task(self._fetch(found, volume, fetch))
            fetch.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may wait any more
        assert fetch.task  # noqa: S101 - set where it is created
        async with _until(deadline, lambda: f"downloading: {fetch}"):
            try:
                await asyncio.wait([fetch.task])  # leaves it running when cancelled; shield would log its later errors
                fetch.task.result()
            except Refused as error:
                if joined is None or error.reason != "Unauthorized" or fetch.volume.pod == volume.pod:
                    raise

    async def _fetch(self, found: Found, volume: Volume, fetch: _Fetch) -> None:
        try:
            await self._make_room(found)
            from_peers = await self._worker.fetch(volume, found.key, fetch.progress)
            self._metrics.from_peers.inc(from_peers)
            self.changed.set()
            self._metrics.downloaded.inc(found.bytes)
        except (NoRoom, Refused) as error:
            raise Refused(error.reason, f"{volume.model} {volume.version}: {error}") from error
        finally:
            del self._fetches[found.key]

    async def _make_room(self, found: Found) -> None:
        """Remove what was not mounted for the longest time. Raises NoRoom."""
        async with self._removing:
            partial, entries = self._folder.partial_bytes(), self._folder.entries()
            others = self._fetches.items() - {(found.key, self._fetches[found.key])}
            reserved = sum(max(each.total - partial.get(key, 0), 0) for key, each in others)
            needed = 0 if found.key in entries else max(found.bytes - partial.get(found.key, 0), 0)
            await self._remove(evictions(needed, reserved, held_by(entries, partial), self.in_use(), self._space()))

    async def give_back(self) -> None:
        """Remove versions, every minute until cancelled, while others fill the disk."""
        while True:
            try:
                async with self._removing:
                    held = held_by(self._folder.entries(), self._folder.partial_bytes())
                    await self._remove(excess(held, self.in_use(), self._space()))
            except (Refused, OSError) as error:
                _log.warning("versions not evicted", extra={FIELDS: {"problem": str(error)}})
            await asyncio.sleep(_GIVE_BACK_SECONDS)

    def _space(self) -> Space:
        return space_of(self._folder.root, self._options.budget)

    async def _remove(self, keys: tuple[str, ...]) -> None:
        if not keys:
            return
        self._leaving.update(keys)
        try:
            await self._worker.remove(keys)
        finally:
            self._leaving.difference_update(keys)
        self.changed.set()
        self._metrics.evictions.inc(len(keys))
        _log.info("versions evicted", extra={FIELDS: {"keys": ",".join(keys)}})

    def in_use(self) -> frozenset[str]:
        """The keys of versions that stay: mounted, about to be, being downloaded, or kept."""
        return frozenset(self.mounted()) | self._used.keys() | self._fetches.keys() | self.kept

    def mounted(self) -> Counter[str]:
        """How often each version is mounted, by its key."""
        return mounts.mounted_versions(self._folder.root)

    def downloads(self) -> Iterator[tuple[Volume, int, int]]:
        """The downloads under way: the version, the bytes so far, and in all."""
        return ((each.volume, each.bytes, each.total) for each in self._fetches.values())

    def _checked(self, key: str, volume: Volume) -> Entry | None:
        """A version in the cache, if it was checked as the pod wants."""
        entry = self._folder.find(key)
        return entry if entry and (volume.verify != "sha256" or entry.marker.verify == "sha256") else None

    def _is_mounted(self, target: str) -> bool:
        table = mounts.mounts()
        return (
            target in table and mounts.version_of(table[target], mounts.place_of(self._folder.root, table)) is not None
        )

    def _mount(self, key: str, target: Path) -> None:
        with self._folder.lock(key, is_shared=True, waits=False) as is_mine:
            if not is_mine:
                raise Refused("NotReady", "the version is being checked or removed")
            if self._folder.find(key) is None:
                raise Refused("NotReady", "the version was removed from the cache just now: it is fetched again")
            target.mkdir(mode=0o750, exist_ok=True)  # not its parents: they are gone if the pod is
            with self._folder.opened(key) as files:
                mounts.bind(files, target)
            self._folder.touch(key)


@asynccontextmanager
async def _until(deadline: float, what: Callable[[], str]) -> AsyncIterator[None]:
    """End with Refused at the deadline, on the monotonic clock. `what` says what is not ready."""
    try:
        async with asyncio.timeout(max(deadline - monotonic(), 0)):
            yield
    except TimeoutError:
        raise Refused("NotReady", what()) from None
