"""The worker process that parses and renders manifests, at a lower priority than admission.

Parsing and rendering YAML takes many times longer than a decision, and would delay admission requests in the same
process. The worker starts with the first preview, and ends after some minutes without one. A timeout kills it.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from anyio import BrokenWorkerProcess, CapacityLimiter, fail_after, to_process

from webhook.preview.bounded import bounded
from webhook.preview.errors import ManifestTooLarge

_SECONDS: Final = 10
T = TypeVar("T")


class Worker:
    """One worker process, which runs one call at a time."""

    def __init__(self) -> None:
        self._turns, self._process = CapacityLimiter(1), CapacityLimiter(1)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in the worker, and return its result. The function and its arguments are pickled.

        Raises ManifestTooLarge if the call exceeds the limits of time or memory, and the exceptions of the function. If
        the process ends during the call, the call is repeated once in a new process, because the old one may have been
        idle for too long, or have used up its memory in earlier calls.
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
