"""Limits on the rate of requests and on concurrent work."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from time import monotonic

from webhook.http.errors import Busy, TooManyRequests


class RateLimiter:
    """A token bucket for each key: `per_second` requests, and up to `burst` at once. Remembers at most `keys` keys."""

    def __init__(self, per_second: float, burst: int, keys: int = 1000) -> None:
        self._per_second, self._burst, self._most = per_second, burst, keys
        self._left = OrderedDict[str, tuple[float, float]]()

    def check(self, key: str) -> None:
        """Raise TooManyRequests, with the seconds to wait, if the bucket is empty. Takes no token."""
        left = self._available(key)
        if left < 1:
            raise TooManyRequests(ceil((1 - left) / self._per_second))

    def acquire(self, key: str) -> None:
        """Take a token for one request. Raises TooManyRequests if the bucket is empty."""
        self.check(key)
        self._left[key] = (self._available(key) - 1, monotonic())
        self._left.move_to_end(key)
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def _available(self, key: str) -> float:
        left, since = self._left.get(key, (float(self._burst), 0.0))
        return min(self._burst, left + (monotonic() - since) * self._per_second)


class ConcurrencyLimiter:
    """A semaphore with a bounded queue.

    `at_a_time` holders run, up to `waiting` more wait for up to `seconds`, and each key has at most `each` of either.
    """

    def __init__(self, at_a_time: int, waiting: int, each: int, seconds: float) -> None:
        self._free, self._waiting, self._most_waiting = asyncio.Semaphore(at_a_time), 0, waiting
        self._by_key, self._each = Counter[str](), each
        self._seconds = seconds

    @asynccontextmanager
    async def acquire(self, key: str) -> AsyncIterator[None]:
        """Hold one slot. Raises Busy on a full queue or a timeout, TooManyRequests if the key is at its limit."""
        if self._by_key[key] >= self._each:
            raise TooManyRequests(1)
        if self._waiting >= self._most_waiting:
            raise Busy("too many requests are waiting; try again")
        self._by_key[key] += 1
        try:
            await self._wait_for_slot()
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._by_key[key] -= 1
            self._by_key += Counter()  # drops keys whose count is 0

    async def _wait_for_slot(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise Busy(f"other requests kept the server busy for {self._seconds:.0f} s; try again") from None
        finally:
            self._waiting -= 1
