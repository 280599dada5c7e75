"""What must hold for every input of scripts/fuzz."""

import signal
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from webhook.annotations.contract import WRITTEN

LONGEST_MESSAGE = 2100
_REPEATS = 3
_HANGS_SECONDS = 10.0
"""Processor seconds after which a check is interrupted, because it might never end."""
_ACCOUNT = ("serviceAccountName", "serviceAccount")
"""Fields of a pod's spec that a patch may set where they name no account."""
_NO_ACCOUNT = (None, "", "default")
_WRITTEN = (
    *(f"model-injector.io/{name}" for name in WRITTEN),
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
)
"""Annotations whose value a patch may replace."""


class Violation(AssertionError):
    """An input makes the program do what it must not do."""


def message(text: str, secret: str = "") -> None:
    """A message is one line of limited length, and has no secret in it."""
    if any(unicodedata.category(each) == "Cc" for each in text):
        raise Violation(f"a message with a control character: {text[:500]!r}")
    if len(text) > LONGEST_MESSAGE:
        raise Violation(f"a message of {len(text)} characters: {text[:500]!r}…")
    if secret and secret in text:
        raise Violation(f"a message with a secret: {text[:500]!r}")


def in_folder(path: str) -> None:
    """A relative path stays below the folder that it begins in."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise Violation(f"the path {path!r} leads elsewhere")


def in_time(check: Callable[[Any], None], value: Any, longest: float) -> None:
    """Run a check within so many seconds of this process's processor time. One that takes longer is repeated first."""
    seconds = _seconds(check, value)
    if seconds > longest:
        seconds = min(_seconds(check, value) for _ in range(_REPEATS))
    if seconds > longest:
        raise Violation(f"it takes {seconds:.3f} s of processor time")


def _seconds(check: Callable[[Any], None], value: Any) -> float:
    def interrupt(*_: object) -> None:
        raise Violation(f"it takes more than {_HANGS_SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, _HANGS_SECONDS)
    begun = time.process_time()
    try:
        check(value)
        return time.process_time() - begun
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def only_adds(operations: Sequence[Mapping[str, Any]], before: Any, after: Any) -> None:
    """A patch has only operations `add`, and everything that was in the object is in it still."""
    if others := {operation["op"] for operation in operations} - {"add"}:
        raise Violation(f"operations {others}")
    _kept(before, after, "")


def _kept(before: Any, after: Any, path: str) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            _check(key in after, f"{path}/{key} is gone")
            sets_account = key in _ACCOUNT and value in _NO_ACCOUNT
            if not (sets_account or (key in _WRITTEN and path.endswith("/annotations"))):
                _kept(value, after[key], f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list):
        remaining = iter(after)
        for index, value in enumerate(before):
            _check(any(_is_kept(value, each) for each in remaining), f"{path}/{index} is gone")
    elif not (before is None and isinstance(after, list | dict)):
        _check(before == after, f"{path} was {before!r} and is {after!r}"[:500])


def _is_kept(before: Any, after: Any) -> bool:
    try:
        _kept(before, after, "")
    except Violation:
        return False
    return True


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise Violation(problem)
