"""Where the text of manifests is worked on: a process of its own, that gives way to admission and can be ended.

Reading and writing YAML takes many times longer than a decision, and pods would wait for it. It begins with the first
preview, and ends when none has come for some minutes.
"""

import os
import resource
from collections.abc import Callable
from typing import Final, TypeVar

from anyio import BrokenWorkerProcess, CapacityLimiter, fail_after, to_process

from webhook.errors import BodyTooLarge, Busy

_SECONDS: Final = 10
_DATA_BYTES: Final = 128 * 1024 * 1024
_NICENESS: Final = 10
_MOST_WAITING: Final = 16
T = TypeVar("T")


class Worker:
    """One process, which does one thing at a time."""

    def __init__(self) -> None:
        self._turns, self._process = CapacityLimiter(1), CapacityLimiter(1)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function there, within bounds of time and memory. Raises BodyTooLarge and Busy, and what it raises."""
        if self._turns.statistics().tasks_waiting >= _MOST_WAITING:
            raise Busy("too many previews are on their way; try again")
        async with self._turns:
            try:
                with fail_after(_SECONDS):
                    return await to_process.run_sync(
                        _bounded, function, *arguments, cancellable=True, limiter=self._process
                    )
            except TimeoutError:
                raise BodyTooLarge(f"the manifest takes longer than {_SECONDS} s; preview a part of it") from None
            except (MemoryError, BrokenWorkerProcess):
                raise BodyTooLarge("the manifest takes too much memory; preview a part of it") from None


def _bounded(function: Callable[..., T], *arguments: object) -> T:
    if resource.getrlimit(resource.RLIMIT_DATA)[0] != _DATA_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_DATA_BYTES, _DATA_BYTES))
        os.nice(_NICENESS)
    return function(*arguments)
