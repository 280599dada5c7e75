"""Waiting without time."""

from collections.abc import Callable
from threading import Event

from tests.support.clock import Clock


class Pauses(Event):
    """A process that is stopped in its n-th pause. A pause takes no time, but moves the clock."""

    def __init__(self, most: int, clock: Clock | None = None, then: Callable[[], None] = lambda: None) -> None:
        """`then` is called in each pause."""
        super().__init__()
        self.seconds = list[float]()
        self._most, self._clock, self._then = most, clock, then

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        if self._clock:
            self._clock.now += timeout
        self._then()
        if len(self.seconds) >= self._most:
            self.set()
        return self.is_set()
