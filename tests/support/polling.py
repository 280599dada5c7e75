"""Waiting until a condition holds that other processes or threads bring about."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Return as soon as the condition holds. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"the condition does not hold after {seconds} s"
        time.sleep(0.02)
