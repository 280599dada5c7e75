"""Workloads that follow their references: what they have, and what is recorded about their rollouts.

All of it is on the workload. `pinned` on its template has the versions. The annotation `rollout` is the record of the
last rollout. The label `followed` has a mark of what each reference means, if that was tried or if the workload came to
have it, and while a rollout is under way, its target. The label exists because `kubectl rollout undo` replaces the
annotations of a Deployment by those of another revision: a version that somebody has undone must not be rolled out
again, and a record that comes back is not of a rollout under way.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from webhook.annotations import pinned
from webhook.annotations.parsing import parse
from webhook.annotations.pinned import PINNED, Pin, Pins, Reference, reference_of
from webhook.controller.workloads import Workload
from webhook.kubernetes.names import LONGEST, short_hash
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.settings import Settings

ROLLOUT: Final = "rollout"
"""The annotation with the record of the last rollout, as JSON."""
FOLLOWED: Final = "followed"
"""The label with what was tried, and the target of a rollout under way."""
_MARK: Final = 8
"""Hex digits of a mark. Fewer where the label would be too long."""
_SKEW: Final = timedelta(minutes=5)
"""How far the clocks of two nodes may differ."""
State: TypeAlias = Literal["progressing", "done", "undone", "blocked"]
Meaning: TypeAlias = Callable[[ModelRequest], Artifact | str]
"""The artifact that a reference means now; as text, why that is unknown."""


class Change(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """The versions of one reference before and after a rollout."""

    model: str
    version: str
    """The reference: the version as it is asked for."""
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.model} {self.version} from {self.before} to {self.after}"


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of the annotation `rollout`."""

    state: State
    at: str
    """When it came into the state, in RFC 3339."""
    models: tuple[Change, ...] = ()
    reason: str = ""
    target: str = ""
    """Identifies the versions of all references with which the rollout ends."""
    before: str = ""
    """While it is progressing: the annotation `pinned` to go back to."""
    held: str = ""
    """Since when the workload is on hold, in RFC 3339. That time does not count: `at` moves on by it afterwards."""

    def time(self, now: datetime) -> datetime | None:
        """`at`; None if somebody has written another text, or a time that is yet to come."""
        return _time(self.at, now)

    def as_held(self, now: datetime) -> "Record":
        """The record of a workload that is on hold."""
        return self if self.held else replace(self, held=text_of(now))

    def as_resumed(self, now: datetime) -> "Record":
        """The record of a workload that is not on hold, or not any more."""
        if not self.held:
            return self
        started, held = self.time(now), _time(self.held, now)
        at = text_of(min(started + (now - held), now)) if started and held else self.at
        return replace(self, at=at, held="")

    @property
    def summary(self) -> str:
        """The changes, in words."""
        return ", ".join(map(str, self.models))


def _time(text: str, now: datetime) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time if time <= now + _SKEW else None


def text_of(time: datetime) -> str:
    """A time in RFC 3339."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_records: Final = msgspec.json.Decoder(Record)
Versions: TypeAlias = Mapping[Reference, str]


class Follower(msgspec.Struct, frozen=True, dict=True):
    """A workload that follows."""

    workload: Workload
    is_canary: bool
    requests: tuple[ModelRequest, ...]
    """The models that its template asks for, without what is pinned."""
    pins: Pins
    meant: Mapping[Reference, Artifact]
    """What its references mean now. Without those whose meaning is unknown."""
    unknown: str
    """Why the meaning of a reference is unknown; empty if all are known."""
    record: Record | None
    label: str
    """The label `followed`; empty without one."""

    @property
    def name(self) -> str:
        """How messages name it."""
        kind, (namespace, name) = self.workload.resource.kind, self.workload.key
        return f"{kind} {namespace}/{name}"

    @cached_property
    def references(self) -> Mapping[Reference, ModelRequest]:
        """The requests whose meaning can change."""
        return references_of(self.requests)

    @cached_property
    def has(self) -> Versions:
        """The pinned version of each reference; without those that are not pinned."""
        return self.versions_in(self.pins)

    @cached_property
    def wants(self) -> Versions:
        """The version that each reference means."""
        return {reference: artifact.version for reference, artifact in self.meant.items()}

    @cached_property
    def changing(self) -> tuple[Reference, ...]:
        """The references that mean a version other than the pinned one."""
        return tuple(reference for reference, version in self.wants.items() if self.has.get(reference) != version)

    @cached_property
    def starting(self) -> tuple[Reference, ...]:
        """Those of `changing` whose meaning was not tried."""
        marks = self._marks
        return tuple(each for each in self.changing if marks.get(each) != _mark(each, self.wants[each], len(marks)))

    @cached_property
    def goal(self) -> Versions:
        """The versions that it gets. What was tried before, and undone, stays as it is."""
        return {**self.has, **{each: self.wants[each] for each in self.starting}}

    def changes(self, references: Iterable[Reference]) -> tuple[Change, ...]:
        """What a rollout of these references changes."""
        requests = self.references
        return tuple(
            Change(requests[each].model, requests[each].version, self.has.get(each, ""), self.wants[each])
            for each in references
        )

    @property
    def is_rolling(self) -> bool:
        """Whether a rollout of the controller's is under way. A record that `rollout undo` brought back is not one."""
        record, (_, _, target) = self.record, self.label.partition(".")
        return record is not None and record.state == "progressing" and bool(target) and record.target == target

    @property
    def is_counted(self) -> bool:
        """Whether it takes one of `maxConcurrent`: while it is on hold, no more of its pods are replaced."""
        return self.is_rolling and not self.workload.hold

    @property
    def is_undone(self) -> bool:
        """Whether it had all of what its references mean, or was rolled out to that, and has not any more."""
        return not self.is_rolling and bool(self.changing) and not self.starting

    def label_with(self, versions: Versions, target: str = "") -> str:
        """The label once the workload has these versions; empty if nothing is marked.

        A mark stays until its reference means something else.
        """
        known_marks, empty = self._marks, "0" * _width(len(self.references))
        found = list[str]()
        for reference in sorted(self.references):
            known, meaning = known_marks.get(reference, empty), self.wants.get(reference)
            mark = _mark(reference, meaning, len(self.references)) if meaning else known
            found.append(mark if mark == known or meaning == versions.get(reference) else empty)
        marks = "".join(found)
        return ".".join(filter(None, (marks if marks.strip("0") else "", target)))

    @cached_property
    def _marks(self) -> Mapping[Reference, str]:
        """The marks in the label. Empty ones, if it is of other references."""
        width, marks = _width(len(self.references)), self.label.partition(".")[0]
        if len(marks) != width * len(self.references):
            marks = "0" * width * len(self.references)
        parts = (marks[index * width : (index + 1) * width] for index in range(len(self.references)))
        return dict(zip(sorted(self.references), parts, strict=True))

    def versions_in(self, pins: Pins) -> Versions:
        """The version of each reference in a value of `pinned`."""
        found = {reference: pins.pin_of(request) for reference, request in self.references.items()}
        return {reference: pin.version for reference, pin in found.items() if pin}

    def wanted_pins(self) -> Pins:
        """The pins of the goal. Where the version changes, the webhook chooses the strategy."""
        pins = (self._pin_for(request) for request in self.requests)
        return Pins(tuple(filter(None, pins)), pinned.restarted_at(self.workload.template_annotations))

    def _pin_for(self, request: ModelRequest) -> Pin | None:
        pin, version = self.pins.pin_of(request), self.goal.get(reference_of(request))
        return pin if version is None or (pin and pin.version == version) else Pin.of(request, version)

    def restored(self, text: str) -> str | None:
        """An earlier value of `pinned`, as it was, unless the webhook would take it for one from before a restart. None
        if it is no valid value."""
        pins, annotations = pinned.decode(text), self.workload.template_annotations
        if not pins.models:
            return None
        if pins.holds_for(annotations):
            return text
        return replace(pins, restarted_at=pinned.restarted_at(annotations)).encode()


def follower_of(workload: Workload, meaning: Meaning, settings: Settings) -> Follower | None:
    """A workload that follows; None for one that does not. Raises Refusal if its annotations are invalid."""
    annotations, prefix = workload.template_annotations, settings.annotation_prefix
    request = parse(annotations, settings, workload.metadata.namespace)
    if request.follow == "false" or not request.models:
        return None
    requests = tuple(replace(each, pinned_version=None, pinned_strategy=None) for each in request.models)
    meant = {reference: meaning(each) for reference, each in references_of(requests).items()}
    return Follower(
        workload,
        request.follow == "canary",
        requests,
        pinned.decode(annotations.get(f"{prefix}/{PINNED}")),
        {reference: found for reference, found in meant.items() if isinstance(found, Artifact)},
        next((found for found in meant.values() if isinstance(found, str)), ""),
        record_of(workload, prefix),
        workload.labels.get(f"{prefix}/{FOLLOWED}", ""),
    )


def references_of(requests: Iterable[ModelRequest]) -> dict[Reference, ModelRequest]:
    """The requests whose meaning can change."""
    return {reference_of(each): each for each in requests if pinned.is_floating(each)}


def record_of(workload: Workload, prefix: str) -> Record | None:
    """The record of its last rollout; None without one, and if somebody has made it invalid."""
    try:
        return _records.decode(workload.annotations.get(f"{prefix}/{ROLLOUT}", ""))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _width(references: int) -> int:
    """The length of a mark in the label, beside a target."""
    return min(_MARK, (LONGEST - _MARK - 1) // references) if references else 0


def _mark(reference: Reference, version: str, references: int) -> str:
    return target_of({reference: version})[: _width(references)]


def target_of(versions: Versions) -> str:
    """What identifies versions of references: 8 hex digits."""
    return short_hash(
        msgspec.json.encode(sorted([*reference, version] for reference, version in versions.items())).decode()
    )
