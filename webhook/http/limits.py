"""How often someone may ask, and how much is worked on at a time."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from time import monotonic

from webhook.http.errors import Busy, TooManyRequests


class RateLimiter:
    """So many requests a second for each key, and a burst of more after a pause; of a bounded number of keys."""

    def __init__(self, per_second: float, burst: int, keys: int = 1000) -> None:
        self._per_second, self._burst, self._most = per_second, burst, keys
        self._left = OrderedDict[str, tuple[float, float]]()

    def check(self, key: str) -> None:
        """Raise TooManyRequests, which says when to come again, where no request is left."""
        left = self._now(key)
        if left < 1:
            raise TooManyRequests(ceil((1 - left) / self._per_second))

    def take(self, key: str) -> None:
        """Count one request. Raises TooManyRequests where none is left."""
        self.check(key)
        self._left[key] = (self._now(key) - 1, monotonic())
        self._left.move_to_end(key)
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def _now(self, key: str) -> float:
        left, since = self._left.get(key, (float(self._burst), 0.0))
        return min(self._burst, left + (monotonic() - since) * self._per_second)


class ConcurrencyLimiter:
    """So many at a time, some more wait for some seconds, and nobody holds up the others with all of their own."""

    def __init__(self, at_a_time: int, waiting: int, each: int, seconds: float) -> None:
        self._free, self._waiting, self._most_waiting = asyncio.Semaphore(at_a_time), 0, waiting
        self._of, self._each = Counter[str](), each
        self._seconds = seconds

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """A turn for a client. Raises Busy where none comes in time, TooManyRequests where the client has its share."""
        if self._of[key] >= self._each:
            raise TooManyRequests(1)
        if self._waiting >= self._most_waiting:
            raise Busy("too many are waiting already; try again")
        self._of[key] += 1
        try:
            await self._acquire()
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._of[key] -= 1
            self._of += Counter()  # those who have none are forgotten

    async def _acquire(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise Busy(f"others have had all of {self._seconds:.0f} s; try again") from None
        finally:
            self._waiting -= 1
