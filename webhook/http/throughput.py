"""A minimum throughput, so that a sender of a few bytes now and then does not hold a connection for hours."""

import time
from collections.abc import Callable


class MinimumThroughput:
    """How long a sender is waited for: some seconds, and longer the more it has sent.

    Only the time in `receive` counts, so that a receiver may process slowly what it got.
    """

    def __init__(self, seconds: float, bytes_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_second, self._clock = bytes_per_second, clock
        self.left = seconds
        """The seconds that the sender has left. Not positive if it is too slow."""

    def receive(self, read: Callable[[float], bytes]) -> bytes:
        """What `read` returns, which gets the seconds that are left."""
        started = self._clock()
        received = read(self.left)
        self.left += len(received) / self._bytes_per_second - (self._clock() - started)
        return received
