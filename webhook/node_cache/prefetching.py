"""Fetches versions before pods ask for them: those of the settings, and what the references of mounted volumes mean."""

import asyncio
import logging
import random
from typing import Final

from webhook.catalog.versions import ExactVersion, parse_reference
from webhook.errors import InjectorError
from webhook.http.log import FIELDS
from webhook.node_cache import mounts
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.protocol import Wanted
from webhook.node_cache.publisher import Publisher
from webhook.node_cache.refusals import Refused
from webhook.node_cache.worker_client import WorkerClient
from webhook.settings import Settings
from webhook.strategies.node_cache import NAME

_SHORTEST_SECONDS: Final = 60
_log = logging.getLogger(__name__)


class Prefetcher:
    """Looks what references mean, every `catalog.refreshSeconds`, and has it in the cache."""

    def __init__(self, folder: CacheFolder, worker: WorkerClient, publisher: Publisher, settings: Settings) -> None:
        self._folder, self._worker, self._publisher, self._settings = folder, worker, publisher, settings
        self._options = settings.of_strategies[NAME]
        self._known: frozenset[str] = frozenset()
        """The problems that were logged."""
        self.is_ready = not self._options.prefetch
        """Whether all versions of the settings were there once."""

    async def run(self) -> None:
        """Keep the cache ahead of the pods, until cancelled. Without a catalog, references have no meaning."""
        if self._settings.catalog.mode != "s3":
            return
        pause = max(self._settings.catalog.refresh_seconds, _SHORTEST_SECONDS)
        while True:
            try:
                await self.look()
            except (InjectorError, OSError) as error:
                self._report([str(error)])
            await asyncio.sleep(random.uniform(pause, 1.2 * pause))  # noqa: S311 - not all nodes at once

    async def look(self) -> None:
        """Look once."""
        prefetched = {
            Wanted(each.source, model, each.versions): None for each in self._options.prefetch for model in each.models
        }
        kept, problems = await self._have(tuple(prefetched))
        if not problems and not self.is_ready:
            self.is_ready = True
            self._publisher.changed.set()
        followed, others = await self._have(self._followed())
        problems += others
        # What could not be looked up may be what was kept before.
        self._publisher.kept = kept | followed | (self._publisher.kept if problems else frozenset())
        self._report(problems)

    async def _have(self, wanted: tuple[Wanted, ...]) -> tuple[frozenset[str], list[str]]:
        """Have what references mean in the cache. Returns the keys, and what is wrong."""
        if not wanted:
            return frozenset(), []
        kept = set[str]()
        try:
            resolved = await self._worker.resolve(wanted)
        except Refused as error:
            return frozenset(), [str(error)]
        problems = list(resolved.problems)
        for volume in resolved.volumes:
            try:
                kept.add(await self._publisher.fetch(volume))
                self._publisher.kept |= kept
            except (Refused, OSError) as error:
                problems.append(f"{volume.model} {volume.version}: {error}")
        return frozenset(kept), problems

    def _followed(self) -> tuple[Wanted, ...]:
        """The references of pods whose volumes are mounted, unless they are exact versions."""
        found = dict[Wanted, None]()
        if self._options.follow_aliases:
            mounted = mounts.mounts()
            for asked in self._folder.recorded():
                if asked.target not in mounted:  # the node was restarted
                    self._folder.forget(asked.target)
                elif _is_floating(asked.asked):
                    found[Wanted(asked.source, asked.model, asked.asked)] = None
        return tuple(found)

    def _report(self, problems: list[str]) -> None:
        """Log what is new."""
        for problem in sorted(set(problems) - self._known):
            _log.warning("version not fetched in advance", extra={FIELDS: {"problem": problem}})
        self._known = frozenset(problems)


def _is_floating(reference: str) -> bool:
    try:
        return bool(reference) and not isinstance(parse_reference(reference), ExactVersion)
    except ValueError:
        return False
