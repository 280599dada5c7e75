"""Where the text of manifests is worked on: a process of its own, that gives way to admission and can be ended.

Reading and writing YAML takes many times longer than a decision, and pods would wait for it. It begins with the first
preview, and ends when none has come for some minutes.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from anyio import BrokenWorkerProcess, CapacityLimiter, fail_after, to_process

from webhook.preview.bounded import bounded
from webhook.preview.errors import ManifestTooLarge

_SECONDS: Final = 10
T = TypeVar("T")


class Worker:
    """One process, which does one thing at a time."""

    def __init__(self) -> None:
        self._turns, self._process = CapacityLimiter(1), CapacityLimiter(1)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function there, within bounds of time and memory. Raises ManifestTooLarge, and what it raises.

        Where the process breaks, a new one tries once more: it may have been at its end, or full of what came before.
        """
        async with self._turns:
            try:
                with fail_after(_SECONDS):
                    try:
                        return await self._call(function, *arguments)
                    except BrokenWorkerProcess:
                        return await self._call(function, *arguments)
            except TimeoutError:
                raise ManifestTooLarge(f"the manifest takes longer than {_SECONDS} s; preview a part of it") from None
            except BrokenWorkerProcess:
                raise ManifestTooLarge("the manifest takes too much memory; preview a part of it") from None

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await to_process.run_sync(bounded, function, *arguments, cancellable=True, limiter=self._process)
