"""Which workloads are restarted because their references mean other versions now: the pure function `decide`.

A rollout sets the annotation `pinned` of the template, which the webhook keeps. It is watched until all pods are
available. If that takes too long, the earlier pin is set again, and the version is not tried again until the reference
has meant another one. States of workloads:

| state | meaning |
| --- | --- |
| current | it has the versions that its references mean |
| waiting | it gets others when limits, its own health and the loading of the versions allow it |
| progressing | it is getting them |
| undone | they were undone, by the controller or by somebody |
| blocked | it cannot get them, or it is unknown what its references mean |
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.annotations.pinned import PINNED, Reference
from webhook.controller.followers import (
    FOLLOWED,
    ROLLOUT,
    Change,
    Follower,
    Meaning,
    Record,
    State,
    follower_of,
    record_of,
    target_of,
)
from webhook.controller.loads import ref_of
from webhook.controller.steps import Emit, Rewrite, Step
from webhook.controller.windows import is_open, next_opening
from webhook.controller.workloads import Workload
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.settings import Settings

IsLoaded: TypeAlias = Callable[[str, str, Artifact], str | None]
"""Why pods in a namespace cannot use an artifact by a strategy now; None if they can."""
Verdict: TypeAlias = Literal["current", "waiting", "progressing", "undone", "blocked"]
VERDICTS: Final[tuple[Verdict, ...]] = ("current", "waiting", "progressing", "undone", "blocked")
_LONGEST: Final = 500
"""The maximum length of a reason."""
_SOON: Final = 1.0
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


class _Decision(msgspec.Struct, frozen=True):
    """What is decided about one workload."""

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    until: datetime | None = None
    """When to decide again."""


def decide(
    workloads: Iterable[Workload], meaning: Meaning, is_loaded: IsLoaded, settings: Settings, now: datetime
) -> Outcome:
    """The steps towards what the references of the workloads mean. `now` has a time zone."""
    decisions, followers = list[_Decision](), list[Follower]()
    for workload in sorted(workloads, key=lambda each: (each.key, each.resource.kind)):
        if workload.is_deleted:
            continue
        try:
            follower = follower_of(workload, settings)
        except Refusal as refusal:
            decisions.append(_Decision("blocked", _blocked(workload, str(refusal), settings, now)))
            continue
        if follower:
            followers.append(follower)
    round_ = _Round(followers, meaning, is_loaded, settings, now)
    decisions += round_.decisions()
    times = [each.until for each in decisions if each.until]
    return Outcome(
        tuple(each.steps for each in decisions if each.steps),
        max((min(times) - now).total_seconds(), _SOON) if times else None,
        {**dict.fromkeys(VERDICTS, 0), **Counter(each.verdict for each in decisions)},
    )


class _Round:
    """One decision about all workloads that follow."""

    def __init__(
        self,
        followers: Sequence[Follower],
        meaning: Meaning,
        is_loaded: IsLoaded,
        settings: Settings,
        now: datetime,
    ) -> None:
        self._followers, self._meaning, self._is_loaded = followers, meaning, is_loaded
        self._settings, self._options, self._now = settings, settings.controller.rollouts, now
        self._prefix = settings.annotation_prefix
        self._pause = timedelta(seconds=self._options.pause)
        self._left = self._options.max_concurrent - sum(each.is_rolling for each in followers)
        self._has_ended = False

    def decisions(self) -> list[_Decision]:
        """One for each workload. Those under way are first, and canaries are before others, because they decide about
        what else may start."""
        ordered = sorted(self._followers, key=lambda each: (not each.is_rolling, not each.is_canary))
        return [self._under_way(each) if each.is_rolling else self._settled(each) for each in ordered]

    def _under_way(self, follower: Follower) -> _Decision:
        """About a workload whose rollout is under way."""
        record, workload = follower.record, follower.workload
        assert record  # noqa: S101 - `is_rolling`
        if target_of(follower.versions) != record.target:
            return self._ended(follower, "undone", "somebody has changed the pinned version meanwhile")
        if workload.is_available:
            return self._ended(follower, "done", "")
        longest = timedelta(seconds=self._options.deadline)
        deadline = (record.time(self._now) or self._now - longest) + longest
        if workload.failure:
            reason = workload.failure
        elif self._now >= deadline and not workload.has_deadline_of_its_own:
            reason = f"not available within {self._options.deadline} s: {workload.message}"
        elif self._is_back(follower, record):
            reason = "the reference means the earlier version again"
        else:
            return _Decision("progressing", until=deadline if deadline > self._now else None)
        return self._ended(follower, "undone", reason, follower.restored(record.before))

    def _is_back(self, follower: Follower, record: Record) -> bool:
        """Whether the references mean again what the workload had before the rollout."""
        meant = self._meant(follower)
        return not isinstance(meant, str) and _versions(meant) == follower.versions_in(record.before)

    def _ended(self, follower: Follower, state: State, reason: str, restored: str | None = None) -> _Decision:
        """Record the end of a rollout. `restored` is the pin to go back to."""
        self._has_ended = True
        record = follower.record
        assert record  # noqa: S101 - `is_rolling`
        ended = msgspec.structs.replace(record, state=state, at=_text(self._now), reason=reason[:_LONGEST], before="")
        template = {f"{self._prefix}/{PINNED}": restored} if restored else {}
        emit = (
            self._emit(follower, "Normal", "RolloutDone", record.summary)
            if state == "done"
            else self._emit(follower, "Warning", "RolloutUndone", f"{record.summary} is undone: {reason}")
        )
        verdict: Verdict = "current" if state == "done" else "undone"
        return _Decision(verdict, (self._recorded(follower, ended, template), emit), self._now + self._pause)

    def _settled(self, follower: Follower) -> _Decision:
        """About a workload that the controller is not rolling out."""
        meant, had = self._meant(follower), follower.versions
        if isinstance(meant, str):
            return _Decision("blocked")  # most often the catalog cannot be read, which is no news about each workload
        if had.keys() != meant.keys():
            return _Decision("blocked", _blocked(follower.workload, _NOT_PINNED, self._settings, self._now))
        target, current = target_of(_versions(meant)), target_of(had)
        if target == current:
            return _Decision("current", self._noted(follower, current))
        if follower.tried == target:
            return _Decision("undone", self._undone_by_somebody(follower, meant, target))
        if follower.workload.obstacle:
            steps = _blocked(follower.workload, follower.workload.obstacle, self._settings, self._now)
            return _Decision("blocked", steps)
        verdict, until = self._may_start(follower, meant)
        if verdict != "progressing":
            return _Decision(verdict, self._noted(follower, current), until)
        self._left -= 1
        return _Decision(verdict, self._start(follower, meant, target))

    def _meant(self, follower: Follower) -> Mapping[Reference, Artifact] | str:
        """The artifact that each reference means; as text, why that is unknown."""
        meant = dict[Reference, Artifact]()
        for reference, request in follower.references.items():
            artifact = self._meaning(request)
            if isinstance(artifact, str):
                return artifact
            meant[reference] = artifact
        return meant

    def _noted(self, follower: Follower, current: str) -> tuple[Step, ...]:
        """Set the label to what the workload has, so that it is known later that this was tried. What was undone before
        may be tried again, because the reference has meant something else since."""
        is_blocked = follower.record is not None and follower.record.state == "blocked"
        if not follower.references or (follower.tried == current and not is_blocked):
            return ()
        annotations = {f"{self._prefix}/{ROLLOUT}": None} if is_blocked else {}
        ref = ref_of(follower.workload.resource, follower.workload)
        return (Rewrite(ref, annotations, labels={f"{self._prefix}/{FOLLOWED}": current}),)

    def _undone_by_somebody(
        self, follower: Follower, meant: Mapping[Reference, Artifact], target: str
    ) -> tuple[Step, ...]:
        """Record once that a workload was set back to other versions than those that it had."""
        record = follower.record
        if record and (record.state, record.target) == ("undone", target):
            return ()
        reason = "somebody has set it back; restart it, or let the reference mean another version, to go on"
        undone = Record("undone", _text(self._now), self._changes(follower, meant), reason, target)
        emit = self._emit(follower, "Normal", "RolloutUndone", f"{undone.summary} is undone: {reason}")
        return self._recorded(follower, undone, {}), emit

    def _may_start(self, follower: Follower, meant: Mapping[Reference, Artifact]) -> tuple[Verdict, datetime | None]:
        """`progressing` if a rollout may start now; else the state, and when to decide again."""
        if not follower.is_canary and (verdict := self._canaries(follower, meant)):
            return verdict
        if not follower.workload.is_available or follower.workload.is_paused or self._unloaded(follower, meant):
            return "waiting", None
        if not is_open(self._options.maintenance, self._now):
            return "waiting", next_opening(self._options.maintenance, self._now)
        if (resting := self._resting_until()) > self._now:
            return "waiting", resting
        return ("progressing" if self._left > 0 else "waiting"), None

    def _resting_until(self) -> datetime:
        """The end of the pause after the last rollout."""
        if self._has_ended:  # what is recorded about that is decided about next time
            return self._now + max(self._pause, timedelta(seconds=_SOON))
        records = (each.record for each in self._followers)
        ends = (each.time(self._now) for each in records if each and each.state in ("done", "undone"))
        return max(filter(None, ends), default=self._now - self._pause) + self._pause

    def _canaries(
        self, follower: Follower, meant: Mapping[Reference, Artifact]
    ) -> tuple[Verdict, datetime | None] | None:
        """Why a workload has to wait for canaries of its references in its namespace; None if it need not."""
        namespace = follower.workload.metadata.namespace
        for reference in self._changing(follower, meant):
            version = meant[reference].version
            for canary in self._followers:
                if not canary.is_canary or canary.workload.metadata.namespace != namespace:
                    continue
                if reference not in canary.references:
                    continue
                if canary.versions.get(reference) != version or canary.is_rolling:
                    has_failed = self._has_undone(canary)
                    return ("blocked" if has_failed else "waiting"), None
                if not canary.workload.is_available:
                    return "waiting", None
                record = canary.record
                done = record.time(self._now) if record and record.state == "done" else None
                if done and done + self._pause > self._now:
                    return "waiting", done + self._pause
        return None

    def _has_undone(self, canary: Follower) -> bool:
        meant = self._meant(canary)
        return not isinstance(meant, str) and not canary.is_rolling and canary.tried == target_of(_versions(meant))

    def _unloaded(self, follower: Follower, meant: Mapping[Reference, Artifact]) -> str | None:
        """Why the new versions cannot be mounted yet. A version by no strategy that is worse than the present one."""
        for reference in self._changing(follower, meant):
            request, pin = follower.references[reference], follower.pins.pin_of(follower.references[reference])
            chosen = (pin and pin.strategy_for(request)) or request.strategies[0]
            usable = request.strategies[: request.strategies.index(chosen) + 1]
            namespace = follower.workload.metadata.namespace
            reasons = [self._is_loaded(namespace, strategy, meant[reference]) for strategy in usable]
            if all(reasons):
                return reasons[0]
        return None

    def _changing(self, follower: Follower, meant: Mapping[Reference, Artifact]) -> list[Reference]:
        """The references that mean another version than the pinned one."""
        had = follower.versions
        return [reference for reference, artifact in meant.items() if had.get(reference) != artifact.version]

    def _changes(self, follower: Follower, meant: Mapping[Reference, Artifact]) -> tuple[Change, ...]:
        had = follower.versions
        return tuple(
            Change(
                meant[reference].model,
                follower.references[reference].version,
                had[reference],
                meant[reference].version,
            )
            for reference in self._changing(follower, meant)
        )

    def _start(self, follower: Follower, meant: Mapping[Reference, Artifact], target: str) -> tuple[Step, ...]:
        """Set the new pins, and record it, in one request."""
        name, workload = f"{self._prefix}/{PINNED}", follower.workload
        changes = self._changes(follower, meant)
        reason = "the reference means another version now"
        before = workload.template_annotations.get(name, "")
        record = Record("progressing", _text(self._now), changes, reason, target, before)
        pins = follower.pins_for(_versions(meant)).encode()
        emit = self._emit(follower, "Normal", "RolloutStarted", f"{record.summary}: {reason}")
        return self._recorded(follower, record, {name: pins}), emit

    def _recorded(self, follower: Follower, record: Record, template: Mapping[str, str]) -> Rewrite:
        """Write a record, and set annotations of the template."""
        return Rewrite(
            ref_of(follower.workload.resource, follower.workload),
            {f"{self._prefix}/{ROLLOUT}": msgspec.json.encode(record).decode()},
            template,
            {f"{self._prefix}/{FOLLOWED}": record.target},
        )

    def _emit(self, follower: Follower, kind: Literal["Normal", "Warning"], reason: str, message: str) -> Emit:
        return Emit(ref_of(follower.workload.resource, follower.workload), kind, reason, message)


def _versions(meant: Mapping[Reference, Artifact]) -> dict[Reference, str]:
    return {reference: artifact.version for reference, artifact in meant.items()}


def _blocked(workload: Workload, reason: str, settings: Settings, now: datetime) -> tuple[Step, ...]:
    """Record once why a workload cannot be rolled out."""
    prefix, record = settings.annotation_prefix, record_of(workload, settings.annotation_prefix)
    if record and (record.state, record.reason) == ("blocked", reason[:_LONGEST]):
        return ()
    blocked = Record("blocked", _text(now), reason=reason[:_LONGEST])
    ref = ref_of(workload.resource, workload)
    return (
        Rewrite(ref, {f"{prefix}/{ROLLOUT}": msgspec.json.encode(blocked).decode()}),
        Emit(ref, "Warning", "RolloutBlocked", f"this workload does not follow its models: {reason}"),
    )


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
