"""Resource limits of the worker process in which a server parses and renders manifests."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

_DATA_BYTES: Final = 128 * 1024 * 1024
_NICENESS: Final = 10
_IDLE_SECONDS: Final = 300
_IDLE_SECONDS_IF_LARGE: Final = 1
_LARGE_BYTES: Final = 64 * 1024 * 1024
"""The resident memory above which the process ends soon after a call, because the allocator does not return all memory
of a large manifest to the system."""
T = TypeVar("T")


def bounded(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in this worker process, and return its result.

    Limits the process's memory, lowers its priority, and ends it when it stays idle. Exits with status 1 if the
    function exceeds the memory limit.
    """
    signal.alarm(0)
    if resource.getrlimit(resource.RLIMIT_DATA)[0] != _DATA_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_DATA_BYTES, _DATA_BYTES))
        os.nice(_NICENESS)
    try:
        return function(*arguments)
    except MemoryError:
        os._exit(1)  # a process without free memory cannot serve the next call
    finally:
        signal.alarm(
            _IDLE_SECONDS_IF_LARGE if _resident_bytes() > _LARGE_BYTES else _IDLE_SECONDS
        )  # SIGALRM without a handler ends the process


def _resident_bytes() -> int:
    """The resident memory of this process. `ru_maxrss` would include the memory of the server that started it."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()
