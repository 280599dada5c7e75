"""The inventory of a running server, read again every few seconds."""

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final

from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.inventory.inventory import Inventory
from webhook.inventory.reading import read_inventory
from webhook.kubernetes.client import ClusterError, KubernetesClient

_LONGEST_FAILURE: Final = 120
"""How many seconds beyond its interval an inventory stays in use if it cannot be read again."""
_RETRY_SECONDS: Final = 5
_FIRST_SECONDS: Final = 5
"""How long the server's readiness waits for the first reading."""
_log = logging.getLogger(__name__)


def unknown() -> None:
    """The inventory of a server that reads none."""


class InventoryRefresher:
    """Reads the inventory, and reports its state to metrics and health. `clock` is monotonic, in seconds."""

    def __init__(
        self, prefix: str, seconds: float, metrics: Metrics, health: Health, clock: Callable[[], float] = monotonic
    ) -> None:
        self._prefix, self._seconds, self._metrics, self._clock = prefix, seconds, metrics, clock
        self._health = health
        self._thread = ThreadPoolExecutor(1, "inventory")
        self._api: KubernetesClient | None = None
        self._inventory: Inventory | None = None
        self._read_at = -math.inf
        self._problem: str | None = None
        """Why the last reading failed. Empty if it did not, and None before the first one."""
        health.inventory = "the inventory has not been read yet"
        metrics.watch_inventory(lambda: self._clock() - self._read_at, lambda: self._inventory)

    def current(self) -> Inventory | None:
        """The last inventory. None if there is none, or if it is too old to refuse a pod."""
        is_recent = self._clock() - self._read_at <= self._seconds + _LONGEST_FAILURE
        return self._inventory if is_recent else None

    async def run(self) -> None:
        """Read the inventory at every interval, until cancelled. After a failure, retry sooner."""
        asyncio.get_running_loop().call_later(_FIRST_SECONDS, self._stop_waiting)
        while True:
            await self.refresh()
            await asyncio.sleep(min(self._seconds, _RETRY_SECONDS) if self._problem else self._seconds)

    async def refresh(self) -> None:
        """Read the inventory once, in a thread. An error leaves the last inventory in use."""
        started = self._clock()
        try:
            self._inventory = await asyncio.get_running_loop().run_in_executor(self._thread, self._read)
        except ClusterError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - an error in a reading must not stop admission
            problem = f"unexpected {type(error).__name__}"
            if problem != self._problem:
                _log.exception("unexpected error")
            self._failed(problem)
        else:
            self._read_at = started
            self._succeeded(self._inventory)
        self._stop_waiting()

    def close(self) -> None:
        """Start no further reading. A running one ends with the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> Inventory:
        self._api = self._api or KubernetesClient()
        return read_inventory(self._api, self._prefix)

    def _stop_waiting(self) -> None:
        self._health.inventory = None

    def _failed(self, problem: str) -> None:
        """Count an error, and log it if it is not that of the last reading."""
        self._metrics.inventory_errors.inc()
        if problem != self._problem:
            _log.warning("inventory not read", extra={FIELDS: {"problem": problem}})
        self._problem = problem

    def _succeeded(self, inventory: Inventory) -> None:
        """Log the first reading, and the first one after an error."""
        if self._problem != "":
            fields = {"claims": len(inventory.claims), "drivers": len(inventory.drivers), "cluster": inventory.version}
            _log.info("inventory read", extra={FIELDS: fields})
        self._problem = ""
