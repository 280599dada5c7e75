"""Which workloads are restarted because their references mean other versions now: the pure function `decide`.

A rollout sets the annotation `pinned` of the template, which the webhook keeps. It is watched until all pods are
available. If that takes too long, the earlier pin is set again, and the version is not tried again until the reference
means a different version. States of workloads:

| state | meaning |
| --- | --- |
| current | it has the versions that its references mean |
| waiting | it gets others when limits, its own health and the loading of the versions allow it |
| held | it gets others, or goes on getting them, when it is no longer paused or scaled to zero |
| progressing | it is getting them |
| undone | they were undone, by the controller or by somebody |
| blocked | it cannot get them, a canary did not, or it is unknown what its references mean |
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.annotations import pinned
from webhook.annotations.pinned import PINNED
from webhook.controller.events import EventReason
from webhook.controller.followers import (
    FOLLOWED,
    ROLLOUT,
    Follower,
    Meaning,
    Record,
    State,
    follower_of,
    record_of,
    target_of,
    text_of,
)
from webhook.controller.limits import IsLoaded, Limits
from webhook.controller.steps import Emit, Rewrite, Step, ref_of
from webhook.controller.workloads import Workload
from webhook.model.refusals import Refusal
from webhook.settings import Settings

Verdict: TypeAlias = Literal["current", "waiting", "held", "progressing", "undone", "blocked"]
VERDICTS: Final[tuple[Verdict, ...]] = ("current", "waiting", "held", "progressing", "undone", "blocked")
_LONGEST: Final = 500
"""The maximum length of a reason."""
_SHORTEST_SECONDS: Final = 1.0
_CHANGED: Final = "somebody has changed the pinned version meanwhile"
_SET_BACK: Final = (
    "somebody went back to the earlier version; the new one is not tried again until the workload is restarted, or the "
    "reference means a different version"
)
_NOT_PINNED: Final = (
    "its template has no pinned version; restart it once, and for a kind of another project, name that in "
    "webhook.workloads.kinds"
)


class Outcome(msgspec.Struct, frozen=True):
    """The steps for each workload, in their order, and figures."""

    steps: tuple[tuple[Step, ...], ...]
    next_seconds: float | None
    """After how many seconds to decide again, even if nothing changes. None: only if something changes."""
    states: Mapping[str, int]
    """The number of workloads in each state."""
    problems: tuple[str, ...]
    """What workloads wait for, or why they are blocked, one sentence each. Without what events tell."""


class _Decision(msgspec.Struct, frozen=True):
    """What is decided about one workload."""

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    until: datetime | None = None
    """When to decide again."""
    problem: str = ""


def decide(
    workloads: Iterable[Workload], meaning: Meaning, is_loaded: IsLoaded, settings: Settings, now: datetime
) -> Outcome:
    """The steps towards what the references of the workloads mean. `now` has a time zone."""
    decisions, followers = list[_Decision](), list[Follower]()
    for workload in sorted(workloads, key=lambda each: (each.key, each.resource.kind)):
        if workload.is_deleted:
            continue
        try:
            follower = follower_of(workload, meaning, settings)
        except Refusal as refusal:
            decisions.append(_Decision("blocked", _blocked(workload, str(refusal), settings, now)))
            continue
        if follower:
            followers.append(follower)
    limits = Limits(followers, is_loaded, settings.controller.rollouts, now)
    decisions += _Round(limits, settings, now).decisions(followers)
    times = [each.until for each in decisions if each.until]
    return Outcome(
        tuple(each.steps for each in decisions if each.steps),
        max((min(times) - now).total_seconds(), _SHORTEST_SECONDS) if times else None,
        {**dict.fromkeys(VERDICTS, 0), **Counter(each.verdict for each in decisions)},
        tuple(each.problem for each in decisions if each.problem),
    )


class _Round:
    """One decision about all workloads that follow."""

    def __init__(self, limits: Limits, settings: Settings, now: datetime) -> None:
        self._limits, self._settings, self._now = limits, settings, now
        self._longest = timedelta(seconds=settings.controller.rollouts.deadline)
        prefix = settings.annotation_prefix
        self._pinned, self._rollout, self._followed = (f"{prefix}/{name}" for name in (PINNED, ROLLOUT, FOLLOWED))

    def decisions(self, followers: Sequence[Follower]) -> Iterator[_Decision]:
        """One for each workload. Those under way are first, and canaries are before others, because they decide about
        what else may start."""
        for each in sorted(followers, key=lambda each: (not each.is_rolling, not each.is_canary)):
            record = each.record
            yield self._under_way(each, record) if record and each.is_rolling else self._settled(each)

    def _under_way(self, follower: Follower, record: Record) -> _Decision:
        """About a workload whose rollout is under way."""
        if target_of(follower.has) != record.target:
            return self._ended(follower, record, "undone", _CHANGED)
        hold = follower.workload.hold
        if follower.workload.is_available and not follower.workload.is_scaled_to_zero:
            return self._ended(follower, record, "done")
        current = record.as_held(self._now) if hold else record.as_resumed(self._now)
        deadline = (current.time(self._now) or self._now - self._longest) + self._longest
        if reason := self._failure(follower, record, None if hold else deadline):
            return self._ended(follower, record, "undone", reason, follower.restored(record.before))
        steps = (self._recorded(follower, current, follower.label),) if current != record else ()
        if hold:
            return _Decision("held", steps, problem=f"{follower.name} is held during its rollout: {hold}")
        return _Decision("progressing", steps, deadline if deadline > self._now else None)

    def _failure(self, follower: Follower, record: Record, deadline: datetime | None) -> str:
        """Why a rollout has to be undone; empty if it may go on. On hold, it has no deadline."""
        workload = follower.workload
        if workload.failure:
            return workload.failure
        if follower.wants and follower.wants == follower.versions_in(pinned.decode(record.before)):
            return "the reference means the earlier version again"
        if deadline and self._now >= deadline and not workload.has_deadline_of_its_own:
            return f"not available within {self._longest}: {workload.message}"
        return ""

    def _ended(
        self, follower: Follower, record: Record, state: State, reason: str = "", earlier: str | None = None
    ) -> _Decision:
        """Record the end of a rollout. `earlier` is the pin to go back to."""
        ended = msgspec.structs.replace(record, state=state, at=text_of(self._now), reason=reason[:_LONGEST])
        ended = msgspec.structs.replace(ended, before="", held="")
        label = follower.label_with(follower.has)
        rewrite = self._recorded(follower, ended, label, {self._pinned: earlier} if earlier else {})
        until = self._limits.has_ended()
        if state == "done":
            emit = _event(follower.workload, "Normal", "RolloutDone", record.summary)
            return _Decision("current", (rewrite, emit), until)
        emit = _event(follower.workload, "Warning", "RolloutUndone", f"{record.summary} is undone: {reason}")
        return _Decision("undone", (rewrite, emit), until)

    def _settled(self, follower: Follower) -> _Decision:
        """About a workload that the controller is not rolling out."""
        if follower.unknown:
            return _Decision("blocked", problem=f"{follower.name} is blocked: {follower.unknown}")
        if not follower.changing:
            return _Decision("current", self._noted(follower))
        if obstacle := _NOT_PINNED if follower.has.keys() != follower.wants.keys() else follower.workload.obstacle:
            return _Decision("blocked", _blocked(follower.workload, obstacle, self._settings, self._now))
        if follower.is_undone:
            return _Decision("undone", self._set_back(follower))
        if wait := self._limits.start(follower):
            problem = f"{follower.name} is {wait.verdict}: {wait.reason}"
            return _Decision(wait.verdict, self._noted(follower), wait.until, problem)
        return _Decision("progressing", self._start(follower))

    def _start(self, follower: Follower) -> tuple[Step, ...]:
        """Set the new pins and record it, in one request."""
        reason = "the reference means a different version now"
        before = follower.workload.template_annotations.get(self._pinned, "")
        target, changes = target_of(follower.goal), follower.changes(follower.starting)
        record = Record("progressing", text_of(self._now), changes, reason, target, before)
        label = follower.label_with(follower.goal, target)
        rewrite = self._recorded(follower, record, label, {self._pinned: follower.wanted_pins().encode()})
        return rewrite, _event(follower.workload, "Normal", "RolloutStarted", f"{record.summary}: {reason}")

    def _set_back(self, follower: Follower) -> tuple[Step, ...]:
        """Record once that a workload has earlier versions again than those that it had."""
        record, changes = follower.record, follower.changes(follower.changing)
        if record and (record.state, record.models) == ("undone", changes):
            return self._noted(follower)
        undone = Record("undone", text_of(self._now), changes, _SET_BACK)
        emit = _event(follower.workload, "Normal", "RolloutUndone", f"{undone.summary} is undone: {_SET_BACK}")
        return self._recorded(follower, undone, follower.label_with(follower.has)), emit

    def _noted(self, follower: Follower) -> tuple[Step, ...]:
        """Set the label to what the workload has, so that it is known later that this was tried. What was undone before
        may be tried again, because the reference has meant something else since."""
        label = follower.label_with(follower.has)
        was_blocked = follower.record is not None and follower.record.state == "blocked"
        if not follower.references or (follower.label == label and not was_blocked):
            return ()
        annotations = {self._rollout: None} if was_blocked else {}
        ref = ref_of(follower.workload.resource, follower.workload)
        return (Rewrite(ref, annotations, labels={self._followed: label or None}),)

    def _recorded(
        self, follower: Follower, record: Record, label: str, template: Mapping[str, str] | None = None
    ) -> Rewrite:
        """Write a record and the label, and set annotations of the template."""
        return Rewrite(
            ref_of(follower.workload.resource, follower.workload),
            {self._rollout: msgspec.json.encode(record).decode()},
            template or {},
            {self._followed: label or None},
        )


def _blocked(workload: Workload, reason: str, settings: Settings, now: datetime) -> tuple[Step, ...]:
    """Record once why a workload cannot be rolled out."""
    prefix, record = settings.annotation_prefix, record_of(workload, settings.annotation_prefix)
    if record and (record.state, record.reason) == ("blocked", reason[:_LONGEST]):
        return ()
    blocked = Record("blocked", text_of(now), reason=reason[:_LONGEST])
    return (
        Rewrite(ref_of(workload.resource, workload), {f"{prefix}/{ROLLOUT}": msgspec.json.encode(blocked).decode()}),
        _event(workload, "Warning", "RolloutBlocked", f"this workload does not follow its models: {reason}"),
    )


def _event(workload: Workload, kind: Literal["Normal", "Warning"], reason: EventReason, message: str) -> Emit:
    return Emit(ref_of(workload.resource, workload), kind, reason, message)
