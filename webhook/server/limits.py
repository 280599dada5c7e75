"""How often someone may ask, and how much is worked on at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from time import monotonic

from webhook.errors import Busy, TooMany


class Rate:
    """So many requests a second for each key, and a burst of more after a pause; of a bounded number of keys."""

    def __init__(self, per_second: float, burst: int, keys: int = 1000) -> None:
        self._per_second, self._burst, self._most = per_second, burst, keys
        self._left = OrderedDict[str, tuple[float, float]]()

    def take(self, key: str) -> None:
        """Count one request. Raises TooMany, which says when to come again."""
        now = monotonic()
        left, since = self._left.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        self._left[key] = (max(left - 1, 0) if left >= 1 else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        if left < 1:
            raise TooMany(ceil((1 - left) / self._per_second))


class Turns:
    """So many at a time; some more wait, for some seconds."""

    def __init__(self, at_a_time: int, waiting: int, seconds: float) -> None:
        self._free, self._waiting, self._most_waiting = asyncio.Semaphore(at_a_time), 0, waiting
        self._seconds = seconds

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """A turn. Raises Busy where too many wait already, or it does not come in time."""
        if self._waiting >= self._most_waiting:
            raise Busy("too many are waiting already; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise Busy(f"others have had all of {self._seconds:.0f} s; try again") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
