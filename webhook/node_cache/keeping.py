"""Fetches versions before pods ask for them: those of the settings, and what the references of mounted volumes mean."""

import asyncio
import logging
import random
from typing import Final

from webhook.catalog.versions import ExactVersion, parse_reference
from webhook.http.log import FIELDS
from webhook.node_cache import mounts
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.forking import Refused, WorkerClient
from webhook.node_cache.protocol import Wanted
from webhook.node_cache.publisher import Publisher
from webhook.settings import Settings
from webhook.strategies.node_cache import NAME

_SHORTEST_SECONDS: Final = 30
_log = logging.getLogger(__name__)


class Keeper:
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
            await self.look()
            await asyncio.sleep(random.uniform(pause, 1.2 * pause))  # noqa: S311 - not all nodes at once

    async def look(self) -> None:
        """Look once."""
        wanted = self._wanted()
        if not wanted:
            self._publisher.kept = frozenset()
            return
        problems, kept = list[str](), set[str]()
        try:
            resolved = await self._worker.resolve(wanted)
        except Refused as error:
            self._report([str(error)])
            return
        problems += resolved.problems
        for volume in resolved.volumes:
            try:
                kept.add(await self._publisher.fetch(volume))
                self._publisher.kept |= kept
            except Refused as error:
                problems.append(f"{volume.model} {volume.version}: {error}")
        self._publisher.kept = frozenset(kept)
        self._report(problems)
        if not problems and not self.is_ready:
            self.is_ready = True
            self._publisher.changed.set()

    def _wanted(self) -> tuple[Wanted, ...]:
        found = {
            Wanted(each.source, model, each.versions): None for each in self._options.prefetch for model in each.models
        }
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
