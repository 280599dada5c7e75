"""Which workloads are rolled out to what their references mean now: the pure function `decide`.

A rollout changes the versions in the annotation `pinned` of the template, and nothing else; the workload's own
controller replaces the pods. Rollouts that do not become available are undone, once. What is going on is on the
workloads: see records.py.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from webhook.admission.decide import inject
from webhook.annotations.pinned import Reference
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey
from webhook.controller.followers import Follower, follower_of, resolve
from webhook.controller.maintenance import is_open, next_opening
from webhook.controller.records import ROLLOUT, TRIED, Change, Record, State, label_of
from webhook.controller.steps import Emit, ObjectRef, Rewrite, Step
from webhook.controller.workloads import ArgoRollout, Workload
from webhook.kubernetes.decoding import InvalidObject
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.settings import Settings

IsLoaded: TypeAlias = Callable[[str, str, Artifact], str | None]
"""Why a version cannot be mounted yet, by namespace, strategy and version; None if it can. The reason is shown to
people, and must not change while nothing else does."""
Figure: TypeAlias = State | Literal["current", "unknown"]
_LONGEST: Final = 500
"""Characters of a workload's own message."""


class Outcome(msgspec.Struct, frozen=True):
    """The steps for each workload, in their order, and figures."""

    steps: tuple[tuple[Step, ...], ...]
    """Those of one workload are taken one after the other."""
    next_time: datetime | None
    """When to decide again, if nothing changes before. None: never."""
    states: Mapping[Figure, int]
    """The number of workloads by state: that of their record, `current`, or `unknown` if it is not known what they ask
    for or what that means."""


class _Next(NamedTuple):
    """What happens to a workload."""

    record: Record | None
    versions: Mapping[Reference, str] = {}
    """Versions that the template is to be pinned to instead of those that it has."""
    event: tuple[Literal["Normal", "Warning"], str, str] | None = None
    """Its type, reason and message."""


def decide(
    workloads: Iterable[Workload], catalog: Catalog, is_loaded: IsLoaded, settings: Settings, now: datetime
) -> Outcome:
    """The steps for the workloads that have the label `follow`. Raises LookupRequired, with the keys of all of them.

    `catalog` has to enforce its preflight. `now` is in UTC.
    """
    followers, states, steps = _sorted_out(workloads, settings, now)
    resolve(followers, catalog)
    canaries = [each for each in followers if each.request.follow == "canary"]
    nexts = {each: _continued(each, settings, now) for each in followers if each.record and each.record.is_active}
    records = [nexts[each].record if each in nexts else each.record for each in followers]
    ready = list[Follower]()
    keys = list[VersionKey]()
    for each in followers:
        try:
            found = nexts.get(each) or _idle(each, canaries, catalog, is_loaded, settings, now)
        except LookupRequired as required:
            keys += required.keys
            continue
        if found is None:
            ready.append(each)
        else:
            nexts[each] = found
    if keys:
        raise LookupRequired(list(dict.fromkeys(keys)))
    nexts |= _in_turn(ready, [each for each in records if each], settings, now)
    for each in followers:
        states[_figure(each, nexts[each])] += 1
        if taken := tuple(_steps(each, nexts[each], settings)):
            steps.append(taken)
    return Outcome(tuple(steps), _next_time(nexts, settings, now), states)


def _sorted_out(
    workloads: Iterable[Workload], settings: Settings, now: datetime
) -> tuple[list[Follower], Counter[Figure], list[tuple[Step, ...]]]:
    """The workloads whose templates follow, the number of those that are invalid, and the steps for all others."""
    followers, states, steps = list[Follower](), Counter[Figure](), list[tuple[Step, ...]]()
    for workload in sorted(workloads, key=_identity):
        try:
            follower = follower_of(workload, settings, now)
        except (Refusal, InvalidObject):  # its author was told so, and it stays as it is
            states["unknown"] += 1
            continue
        if follower:
            followers.append(follower)
        elif forgotten := _forgotten(workload, settings):
            steps.append((forgotten,))
    return followers, states, steps


def _in_turn(
    ready: Iterable[Follower], records: Sequence[Record], settings: Settings, now: datetime
) -> dict[Follower, _Next]:
    """Start as many as the limits permit: canaries first, then those that wait longest. The others wait."""
    options = settings.controller.rollouts
    last = max((each.ended_at for each in records if each.ended_at), default=None)
    reason = "its turn has not come"
    if not is_open(options.maintenance, now):
        reason, free = "no maintenance window is open", 0
    elif last is not None and now < last + timedelta(seconds=options.pause):
        free = 0
    else:
        free = max(options.max_concurrent - sum(each.is_active for each in records), 0)
    in_order = sorted(ready, key=lambda each: (each.request.follow != "canary", each.waiting_since(now)))
    starting = {each: _started(each, now) for each in in_order[:free]}
    return starting | {each: _waiting(each, reason, now) for each in in_order[free:]}


def _forgotten(workload: Workload, settings: Settings) -> Rewrite | None:
    """Remove the traces from a workload whose template does not follow any more."""
    rollout, tried = (f"{settings.annotation_prefix}/{name}" for name in (ROLLOUT, TRIED))
    if workload.is_deleted or not (rollout in workload.annotations or {rollout, tried} & workload.labels.keys()):
        return None
    return Rewrite(_ref(workload), {rollout: None}, labels={rollout: None, tried: None})


def _continued(follower: Follower, settings: Settings, now: datetime) -> _Next:
    """What happens to a workload that is being rolled out, or back."""
    record, workload = follower.record, follower.workload
    assert record is not None  # noqa: S101 - the caller has checked it
    is_undoing = record.state == "undoing"
    ours = {change.reference: change.before if is_undoing else change.to for change in record.models}
    if workload.is_paused or not ours or any(follower.pinned(each) != version for each, version in ours.items()):
        reason = "it was paused" if workload.is_paused else "its template was changed"
        return _Next(Record("left", now, record.models, f"{reason} by somebody else", now))
    is_settled = not workload.unsettled and workload.wanted > 0
    is_late = now >= record.at + timedelta(seconds=settings.controller.rollouts.deadline)
    if is_undoing:
        if not (is_settled or is_late):
            return _Next(record)
        hint = "" if is_settled else "; ".join(filter(None, ("it is still not available", workload.hint)))
        return _Next(
            Record("undone", now, record.models, record.reason, now),
            event=("Warning", "RolloutUndoIncomplete", f"{_back(record.models)}: {hint}") if hint else None,
        )
    if is_settled:
        return _Next(
            Record("done", now, record.models, record.reason, now),
            event=("Normal", "RolloutDone", f"{_forth(record.models)}: available"),
        )
    if problem := _failure(follower, record, settings, is_late=is_late):
        return _Next(
            Record("undoing", now, record.models, problem),
            {change.reference: change.before for change in record.models},
            ("Warning", "RolloutUndone", f"{_back(record.models)}: {problem}"),
        )
    return _Next(record)


def _failure(follower: Follower, record: Record, settings: Settings, *, is_late: bool) -> str:
    """Why a rollout has to be undone; empty if it has not. The deadline of an Argo Rollout is its own, because its
    steps may wait for hours."""
    workload = follower.workload
    meanings = dict(follower.versions)
    if all(meanings.get(change.reference) == change.before for change in record.models):
        return "; ".join(f"{_asked(change)} means {change.before} again" for change in record.models)
    if workload.failure:
        return workload.failure[:_LONGEST]
    if is_late and not isinstance(workload, ArgoRollout):
        seconds = settings.controller.rollouts.deadline
        return f"not available within {seconds} seconds: {workload.message}"[:_LONGEST]
    return ""


def _idle(  # noqa: PLR0913, PLR0917 - what a rollout depends on
    follower: Follower,
    canaries: Sequence[Follower],
    catalog: Catalog,
    is_loaded: IsLoaded,
    settings: Settings,
    now: datetime,
) -> _Next | None:
    """What happens to a workload that is not being rolled out. None: it is ready for that."""
    if not follower.changes:
        return _current(follower, settings, now)
    if not follower.new:
        return _held(follower, now)
    if obstacle := _obstacle(follower, catalog, settings):
        return _blocked(follower, obstacle, now)
    workload = follower.workload
    hindrances = (
        _not_loaded(follower, is_loaded),
        "it is paused" if workload.is_paused else "",
        "" if workload.wanted else "it is scaled to zero, where nothing would show whether it works",
        workload.unsettled,
        _canary(follower, canaries, settings, now),
    )
    reason = next(filter(None, hindrances), "")
    return _waiting(follower, reason, now) if reason else None


def _current(follower: Follower, settings: Settings, now: datetime) -> _Next:
    """Nothing to do. A record that is out of date is removed, but not before the pause after the rollout."""
    record = follower.record
    if record is None or not follower.is_known or _is_recent(follower.record, settings, now):
        return _Next(record)
    is_true = record.state == "done" and all(follower.pinned(each.reference) == each.to for each in record.models)
    return _Next(record if is_true else None)


def _held(follower: Follower, now: datetime) -> _Next:
    """All versions were tried, and taken back: by the controller, which has a record of that, or by somebody."""
    record = follower.record
    if record and record.state in ("undone", "held") and record.models == follower.changes:
        return _Next(record)
    reason = "taken back by somebody; it is not tried again until the label tried is removed, or another version meant"
    return _Next(
        Record("held", now, follower.changes, reason, follower.ended_at),
        event=("Normal", "RolloutHeld", f"{_forth(follower.changes)}: {reason}"),
    )


def _obstacle(follower: Follower, catalog: Catalog, settings: Settings) -> str:
    """Why the rollout could not succeed; empty if it could. Raises LookupRequired."""
    if follower.workload.obstacle:
        return follower.workload.obstacle
    if not all(map(follower.pinned, follower.floating)):
        return "its template is not pinned, so nothing could be undone: run kubectl rollout restart"
    template = follower.template_after({change.reference: change.to for change in follower.new})
    outcome = inject(template, follower.workload.metadata.namespace, settings, catalog)
    if outcome.decision == "skipped":
        return "its pods get no model"
    return f"its pods would be refused: {outcome.message}"[:_LONGEST] if outcome.decision == "refused" else ""


def _not_loaded(follower: Follower, is_loaded: IsLoaded) -> str:
    """Which version is not loaded, and why; empty if all are. The workload keeps the strategy that it has."""
    for change in follower.new:
        model, artifact = follower.floating[change.reference], follower.meanings[change.reference]
        strategy = model.pinned_strategy or model.strategies[0]
        if artifact and (reason := is_loaded(follower.workload.metadata.namespace, strategy, artifact)):
            return reason
    return ""


def _canary(follower: Follower, canaries: Sequence[Follower], settings: Settings, now: datetime) -> str:
    """The canary that has to come first; empty if there is none."""
    if follower.request.follow == "canary":
        return ""
    for change in follower.new:
        for other in canaries:
            is_near = other.workload.metadata.namespace == follower.workload.metadata.namespace
            if not is_near or change.reference not in other.floating:
                continue
            is_idle = not (other.record and other.record.is_active) and not other.workload.unsettled
            is_done = other.pinned(change.reference) == change.to and is_idle and other.workload.wanted > 0
            if not is_done or _is_recent(other.record, settings, now):
                return f"the canary {other.workload.metadata.name} comes first"
    return ""


def _is_recent(record: Record | None, settings: Settings, now: datetime) -> bool:
    """Whether the last rollout of a workload ended less than the pause ago."""
    ended = record.ended_at if record else None
    return ended is not None and now < ended + timedelta(seconds=settings.controller.rollouts.pause)


def _waiting(follower: Follower, reason: str, now: datetime) -> _Next:
    return _Next(Record("waiting", follower.waiting_since(now), follower.new, reason, follower.ended_at))


def _blocked(follower: Follower, reason: str, now: datetime) -> _Next:
    record = Record("blocked", follower.waiting_since(now), follower.new, reason, follower.ended_at)
    former = follower.record
    is_told = former is not None and (former.state, former.models, former.reason) == ("blocked", record.models, reason)
    return _Next(record, event=None if is_told else ("Warning", "RolloutBlocked", f"{_forth(record.models)}: {reason}"))


def _started(follower: Follower, now: datetime) -> _Next:
    reason = "; ".join(f"{_asked(change)} means {change.to}" for change in follower.new)
    return _Next(
        Record("progressing", now, follower.new, reason, follower.ended_at),
        {change.reference: change.to for change in follower.new},
        ("Normal", "RolloutStarted", f"{_forth(follower.new)}: {reason}"),
    )


def _figure(follower: Follower, following: _Next) -> Figure:
    if following.record and following.record.state not in ("done", "left"):
        return following.record.state
    return "current" if follower.is_known else "unknown"


def _steps(follower: Follower, following: _Next, settings: Settings) -> Iterator[Step]:
    """Write what has changed, and then the event."""
    prefix, of = settings.annotation_prefix, _ref(follower.workload)
    record = following.record
    wanted = {f"{prefix}/{ROLLOUT}": record.encode() if record else None}
    annotations = _differing(wanted, follower.workload.annotations)
    wanted_labels = {
        f"{prefix}/{ROLLOUT}": label_of(record) if record else None,
        f"{prefix}/{TRIED}": follower.label_after(following.versions) or None,
    }
    labels = _differing(wanted_labels, follower.workload.labels)
    pins = {follower.pinned_name: follower.pins_after(following.versions)} if following.versions else {}
    if annotations or labels or pins:
        yield Rewrite(of, annotations, pins, labels)
    if following.event:
        kind, reason, message = following.event
        yield Emit(of, kind, reason, message)


def _differing(wanted: Mapping[str, str | None], present: Mapping[str, str]) -> dict[str, str | None]:
    return {name: value for name, value in wanted.items() if present.get(name) != value}


def _next_time(nexts: Mapping[Follower, _Next], settings: Settings, now: datetime) -> datetime | None:
    """When a deadline or a pause ends, or a window begins."""
    options, times = settings.controller.rollouts, list[datetime | None]()
    records = [each.record for each in nexts.values() if each.record]
    times += [each.at + timedelta(seconds=options.deadline) for each in records if each.is_active]
    times += [each.ended_at + timedelta(seconds=options.pause) for each in records if each.ended_at]
    if any(each.state == "waiting" for each in records):
        times.append(next_opening(options.maintenance, now))
    return min((each for each in times if each and each > now), default=None)


def _asked(change: Change) -> str:
    return f"{change.model} {change.asked}" if change.asked else f"{change.model} by default"


def _forth(changes: Iterable[Change]) -> str:
    return ", ".join(f"{change.model} from {change.before or 'no version'} to {change.to}" for change in changes)


def _back(changes: Iterable[Change]) -> str:
    return ", ".join(f"{change.model} from {change.to} back to {change.before}" for change in changes)


def _ref(workload: Workload) -> ObjectRef:
    metadata = workload.metadata
    return ObjectRef(workload.resource, metadata.namespace, metadata.name, metadata.uid, metadata.resource_version)


def _identity(workload: Workload) -> tuple[str, str, str]:
    return workload.metadata.namespace, workload.metadata.name, workload.resource.kind
