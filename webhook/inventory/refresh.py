"""The inventory of a running server, read again every few seconds."""

import asyncio
import logging
import math
from collections.abc import Callable
from time import monotonic
from typing import Final

from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.inventory.inventory import Inventory
from webhook.inventory.reading import read_inventory
from webhook.kubernetes.client import ClusterError, KubernetesClient

_LONGEST_AGE: Final = 8
"""How many intervals an inventory stays in use if it cannot be read again."""
_log = logging.getLogger(__name__)


def unknown() -> None:
    """The inventory of a server that reads none."""


class InventoryRefresher:
    """Reads the inventory, and reports its age to the metrics. `clock` is monotonic, in seconds."""

    def __init__(self, prefix: str, seconds: float, metrics: Metrics, clock: Callable[[], float] = monotonic) -> None:
        self._prefix, self._seconds, self._metrics, self._clock = prefix, seconds, metrics, clock
        self._inventory: Inventory | None = None
        self._read_at = -math.inf
        self._api: KubernetesClient | None = None
        self._problem = ""
        metrics.watch_inventory(lambda: self._clock() - self._read_at, lambda: self._inventory)

    def current(self) -> Inventory | None:
        """The last inventory. None if there is none, or if it is too old to refuse a pod."""
        is_recent = self._clock() - self._read_at <= _LONGEST_AGE * self._seconds
        return self._inventory if is_recent else None

    async def run(self) -> None:
        """Read the inventory at every interval, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._seconds)

    async def refresh(self) -> None:
        """Read the inventory once, in a thread. An error leaves the last inventory in use."""
        started = self._clock()
        try:
            self._inventory = await asyncio.to_thread(self._read)
        except ClusterError as error:
            self._report(str(error))
        except Exception:  # noqa: BLE001 - an error in a reading must not stop admission
            self._report("unexpected error")
            _log.exception("unexpected error")
        else:
            self._read_at = started
            self._report("")

    def _read(self) -> Inventory:
        self._api = self._api or KubernetesClient()
        return read_inventory(self._api, self._prefix)

    def _report(self, problem: str) -> None:
        """Count an error, and log when the outcome changes."""
        if problem:
            self._metrics.inventory_errors.inc()
        if problem != self._problem:
            if problem:
                _log.warning("inventory not read", extra={FIELDS: {"problem": problem}})
            else:
                _log.info("inventory read again")
        self._problem = problem
