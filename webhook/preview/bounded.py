"""The bounds of the process in which a server has the text of manifests worked on."""

import os
import resource
import signal
from collections.abc import Callable
from typing import Final, TypeVar

_DATA_BYTES: Final = 128 * 1024 * 1024
_NICENESS: Final = 10
_IDLE_SECONDS: Final = 300
T = TypeVar("T")


def bounded(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in this process, which gives way to others, has little memory, and ends when it is idle."""
    signal.alarm(0)
    if resource.getrlimit(resource.RLIMIT_DATA)[0] != _DATA_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_DATA_BYTES, _DATA_BYTES))
        os.nice(_NICENESS)
    try:
        return function(*arguments)
    finally:
        signal.alarm(_IDLE_SECONDS)  # nobody handles it, so it ends the process
