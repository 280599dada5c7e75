"""What the controller remembers about the rollouts of a workload, on the workload itself.

The annotation `rollout` says what it does with the workload, for itself and for people. `kubectl rollout undo` replaces
the annotations of a Deployment by those of then, and may bring an older record back. Labels stay, so two of them say
what holds:

- `rollout` has the state, and a hash of the annotation. A record without its label is not the latest.
- `tried` has a hash of each version that the template has had, while references mean it. A version that was tried, and
  that the template has no longer, was taken back by somebody, and is not tried again. Removing the label permits it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from webhook.annotations.pinned import Reference
from webhook.kubernetes.names import LONGEST, short_hash

ROLLOUT, TRIED = "rollout", "tried"
_SKEW: Final = timedelta(minutes=5)
"""How far the clock of another process may be ahead. A record from further ahead was written by somebody else."""
_HASH: Final = 8

State: TypeAlias = Literal["waiting", "blocked", "progressing", "done", "undoing", "undone", "held", "left"]
Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
ACTIVE: Final[tuple[State, ...]] = ("progressing", "undoing")
_ACTIVE_LABELS: Final = tuple(f"{state}-" for state in ACTIVE)


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reference that means another version than the template is pinned to."""

    source: str
    model: str
    asked: str
    """The version as it was asked for. Empty for the default of the settings."""
    before: str = msgspec.field(name="from")
    to: str = ""

    @property
    def reference(self) -> Reference:
        """What the pin is of."""
        return self.source, self.model, self.asked


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The value of the annotation `rollout`."""

    state: State
    """`waiting` for its turn, or for what `reason` says; `blocked` until somebody acts; `progressing`; `done`;
    `undoing` and then `undone`, because it did not become available; `held`, because somebody took the version back;
    `left` to somebody who changed or paused the workload during the rollout."""
    at: Time
    """Since when. Of `waiting` and `blocked`, since when it waits."""
    models: tuple[Change, ...] = ()
    reason: str = ""
    ended_at: Time | None = None
    """When the last rollout of this workload ended."""

    @property
    def is_active(self) -> bool:
        """Whether the controller is changing the workload."""
        return self.state in ACTIVE

    def encode(self) -> str:
        """The annotation's value (JSON)."""
        return msgspec.json.encode(self).decode()


_decoder: Final = msgspec.json.Decoder(Record)


def decode(text: str | None, label: str, now: datetime) -> Record | None:
    """The record in the annotation's value, with the label `rollout`.

    None if both are absent, if the record is invalid or from the future, and if it is not the latest. If the latest was
    about a rollout, that was left to somebody.
    """
    try:
        record = _decoder.decode(text) if text and label else None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        record = None
    if record and label_of(record) == label and max(record.at, record.ended_at or record.at) <= now + _SKEW:
        return record
    if label.startswith(_ACTIVE_LABELS):
        return Record("left", now, reason="its annotations were replaced by somebody else", ended_at=now)
    return None


def label_of(record: Record) -> str:
    """The value of the label `rollout`."""
    return f"{record.state}-{short_hash(record.encode())}"


def tried(label: str, meanings: Sequence[tuple[Reference, str]]) -> list[bool]:
    """Whether the version that each reference of a template means was tried, by the label `tried`."""
    width = _width(len(meanings))
    if len(label) != width * len(meanings):
        return [False] * len(meanings)
    marks = [label[index : index + width] for index in range(0, len(label), width)] if width else []
    return [mark == _mark(*meaning, width) for mark, meaning in zip(marks, meanings, strict=True)]


def encode_tried(label: str, meanings: Sequence[tuple[Reference, str]], are_tried: Sequence[bool | None]) -> str:
    """The value of the label `tried`; empty if nothing was tried. None keeps what the label has."""
    width = _width(len(meanings))
    former = label if len(label) == width * len(meanings) else "0" * width * len(meanings)
    marks = []
    for index, (meaning, is_tried) in enumerate(zip(meanings, are_tried, strict=True)):
        kept = former[index * width : (index + 1) * width]
        marks.append(kept if is_tried is None else _mark(*meaning, width) if is_tried else "0" * width)
    text = "".join(marks)
    return text if text.strip("0") else ""


def _width(references: int) -> int:
    """Characters for each reference: eight, or fewer if they would not fit into a label."""
    return min(_HASH, LONGEST // references) if references else 0


def _mark(reference: Reference, version: str, width: int) -> str:
    return short_hash(" ".join((*reference, version)))[:width]
