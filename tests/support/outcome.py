"""What a run of fetch.sh leaves behind."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, TypeAlias

Reason: TypeAlias = Literal[
    "Complete", "NotFound", "Unauthorized", "Unreachable", "OutOfSpace", "Incomplete", "Corrupt", "TimedOut"
]
_TERMINATION_BYTES = 4096
"""What kubelet reads of a termination message."""


@dataclass(frozen=True)
class TerminationMessage:
    """What a finished init container says about itself; the fields are the script's contract."""

    reason: Reason
    files: int
    bytes: int
    seconds: int
    message: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the termination log, which holds this and nothing else: one line of JSON that kubelet reads whole."""
        assert text.endswith("\n"), text
        assert text.count("\n") == 1, text
        assert len(text.encode()) <= _TERMINATION_BYTES, text
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """A run that has ended. `log` is what it printed, `termination` what it wrote into its termination log."""

    exit_code: int
    log: str
    termination: str
    seconds: float

    @cached_property
    def message(self) -> TerminationMessage:
        """The termination message; a run that was killed has none."""
        assert self.termination, f"exit status {self.exit_code}, and no termination message; the log: {self.log}"
        return TerminationMessage.parse(self.termination)

    @property
    def reason(self) -> Reason:
        """Its reason, which agrees with the exit status: kubelet goes by the one, people by the other."""
        assert (self.exit_code == 0) == (self.message.reason == "Complete"), self
        return self.message.reason
