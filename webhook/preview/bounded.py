"""The bounds of the process in which a server has the text of manifests worked on."""

import os
import resource
import signal
from collections.abc import Callable
from typing import Final, TypeVar

_DATA_BYTES: Final = 128 * 1024 * 1024
_NICENESS: Final = 10
_IDLE_SECONDS: Final = 300
_FAT_SECONDS: Final = 1
_FAT_BYTES: Final = 64 * 1024 * 1024
"""Resident, after which a new process is better: what a large manifest took is never given back in whole."""
T = TypeVar("T")


def bounded(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in this process, which gives way to others, has little memory, and ends when it is idle."""
    signal.alarm(0)
    if resource.getrlimit(resource.RLIMIT_DATA)[0] != _DATA_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_DATA_BYTES, _DATA_BYTES))
        os.nice(_NICENESS)
    try:
        return function(*arguments)
    except MemoryError:
        os._exit(1)  # what is left is of no use
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        signal.alarm(_FAT_SECONDS if peak > _FAT_BYTES else _IDLE_SECONDS)  # nobody handles it: it ends the process
