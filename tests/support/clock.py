"""Clocks that a test moves, so that no test waits for a deadline.

Timers, `asyncio.sleep` and `asyncio.timeout` take the time from their event loop. `run` runs a coroutine in a loop with
a clock that `advance` and `advance_until` move forward. `Clock` replaces `time.monotonic` and the timer of a cache.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
_MOST_SECONDS = 1000


@dataclass
class Clock:
    """A monotonic clock that stands still unless it is moved."""

    now: float = 1000

    def __call__(self) -> float:
        """Its time, in seconds."""
        return self.now


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock is ahead of the machine's."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, by a clock that it can move."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(steps)


async def advance(seconds: float) -> None:
    """Let everything run that is ready, move the clock forward, and let everything run that is due then."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    await _pause()
    loop.ahead += seconds
    await _pause()


async def advance_until(holds: Callable[[], object], step: float = 0.5) -> None:
    """Move the clock forward in steps until the condition holds."""
    started = now()
    while not holds():
        assert now() - started < _MOST_SECONDS, f"the condition does not hold after {_MOST_SECONDS} s on the clock"
        await advance(step)


def now() -> float:
    """The time of the running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


async def until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition holds that other processes, threads or connections bring about. Moves no clock."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"the condition does not hold after {seconds} s"
        await _pause()


async def _pause() -> None:
    """A millisecond, for the loop to notice what has arrived."""
    await asyncio.sleep(0.001)
