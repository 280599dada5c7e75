"""Whether a rollout may start now: canaries, the workload's health, what is loaded, windows, pauses, and numbers."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from webhook.annotations.pinned import Reference
from webhook.controller.followers import Follower, text_of
from webhook.controller.windows import is_open, next_opening
from webhook.model.artifact import Artifact
from webhook.settings.controller import RolloutSettings

IsLoaded: TypeAlias = Callable[[str, str, Artifact], str | None]
"""Why pods in a namespace cannot use an artifact by a strategy now; None if they can."""
_SHORTEST: Final = timedelta(seconds=1)
_NAMED: Final = 3
"""How many of the rollouts that others wait for are named."""


class Wait(NamedTuple):
    """Why a rollout may not start yet."""

    reason: str
    verdict: Literal["waiting", "held", "blocked"] = "waiting"
    """`held`: until somebody ends the hold. `blocked`: until the reference means something else."""
    until: datetime | None = None
    """When to look again; None: when something has changed."""


class Limits:
    """What limits rollouts, as of one look at all workloads that follow."""

    def __init__(
        self, followers: Sequence[Follower], is_loaded: IsLoaded, options: RolloutSettings, now: datetime
    ) -> None:
        self._is_loaded, self._options, self._now = is_loaded, options, now
        self._pause = timedelta(seconds=options.pause)
        self._counted = [each.name + self._since(each) for each in followers if each.is_counted]
        self._resting_until = self._end_of_pause(followers)
        self._canaries: dict[tuple[str, Reference], list[Follower]] = {}
        for each in followers:
            for reference in each.references if each.is_canary else ():
                self._canaries.setdefault((each.workload.metadata.namespace, reference), []).append(each)

    def _end_of_pause(self, followers: Sequence[Follower]) -> datetime:
        records = (each.record for each in followers)
        ends = (each.time(self._now) for each in records if each and each.state in ("done", "undone"))
        return max((end + self._pause for end in ends if end), default=self._now)

    def _since(self, follower: Follower) -> str:
        since = follower.record.time(self._now) if follower.record else None
        return f" since {text_of(since)}" if since else ""

    def has_ended(self) -> datetime:
        """A rollout ends by this decision. Returns when the next may start."""
        self._resting_until = self._now + max(self._pause, _SHORTEST)  # not before the end is recorded
        return self._resting_until

    def start(self, follower: Follower) -> Wait | None:
        """Count a rollout as started; or why it has to wait."""
        if not follower.is_canary:
            for canary in self._canaries_of(follower):
                if wait := self._wait_for(canary, follower):
                    return wait
        if wait := self._unfit(follower):
            return wait
        if not is_open(self._options.maintenance, self._now):
            return Wait("no maintenance window is open", until=next_opening(self._options.maintenance, self._now))
        if self._resting_until > self._now:
            return Wait("the pause after the last rollout is not over", until=self._resting_until)
        if len(self._counted) >= self._options.max_concurrent:
            return Wait(f"as many rollouts as maxConcurrent allows are under way: {self._named()}")
        self._counted.append(f"{follower.name} since {text_of(self._now)}")
        return None

    def _named(self) -> str:
        left = len(self._counted) - _NAMED
        return ", ".join(self._counted[:_NAMED]) + (f" and {left} more" if left > 0 else "")

    def _unfit(self, follower: Follower) -> Wait | None:
        workload = follower.workload
        if workload.hold:
            return Wait(workload.hold, "held")
        if not workload.is_available:
            return Wait(f"it is not available: {workload.message}")
        reason = self._unloaded(follower)
        return Wait(reason) if reason else None

    def _canaries_of(self, follower: Follower) -> Iterator[Follower]:
        namespace = follower.workload.metadata.namespace
        return (canary for each in follower.starting for canary in self._canaries.get((namespace, each), ()))

    def _wait_for(self, canary: Follower, follower: Follower) -> Wait | None:
        """Wait until a canary has run what the follower is to get, for the length of the pause."""
        wanted = {each: follower.wants[each] for each in follower.starting if each in canary.references}
        if canary.is_rolling or not wanted.items() <= canary.has.items():
            if canary.is_undone:
                return Wait(f"the new version was undone in the canary {canary.name}", "blocked")
            return Wait(f"the canary {canary.name} does not run the new version yet")
        if not canary.workload.is_available:
            return Wait(f"the canary {canary.name} is not available")
        record = canary.record
        done = record.time(self._now) if record and record.state == "done" else None
        until = done + self._pause if done else self._now
        reason = f"the canary {canary.name} has not run the new version for long"
        return Wait(reason, until=until) if until > self._now else None

    def _unloaded(self, follower: Follower) -> str | None:
        """Why the new versions cannot be mounted yet, by strategies that are no worse than the present one."""
        for reference in follower.starting:
            request = follower.references[reference]
            pin = follower.pins.pin_of(request)
            chosen = (pin and pin.strategy_for(request)) or request.strategies[0]
            usable = request.strategies[: request.strategies.index(chosen) + 1]
            namespace, artifact = follower.workload.metadata.namespace, follower.meant[reference]
            reasons = [self._is_loaded(namespace, strategy, artifact) for strategy in usable]
            if all(reasons):
                return reasons[0]
        return None
