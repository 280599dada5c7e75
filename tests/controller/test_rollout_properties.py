"""What holds for rollouts in whatever order things happen."""

import copy
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.controller.rollouts import RESTARTED, World, decoded, pinned_version
from webhook.controller.maintenance import is_open
from webhook.controller.steps import Emit, Rewrite, Step

JSON = dict[str, Any]
NAMES = ("canary", "a", "b", "set", "daemon", "argo")
BROKEN = "3.0.0"
MOST = 2
MANY = 60
names = st.sampled_from(NAMES)


class Rollouts(RuleBasedStateMachine):
    """A cluster in which anything happens. What the controller does is checked at each of its steps."""

    def __init__(self) -> None:
        super().__init__()
        hours = [{"start": f"{hour}:00", "duration": "1h"} for hour in range(12, 24, 2)]
        self.world = World(maxConcurrent=MOST, maintenance=hours)
        self.world.broken.add(BROKEN)
        self.world.add("canary", follow="canary")
        self.world.add("a")
        self.world.add("b")
        self.world.add("set", "StatefulSet")
        self.world.add("daemon", "DaemonSet", namespace="other")
        self.world.add("argo", "Rollout", namespace="other")
        self.seen = self.world.workloads
        """What the last decision was about."""
        self.former: dict[str, JSON] = {}
        """A workload before somebody else changed it, as a controller may still see it."""
        self.undone = Counter[str]()
        """How often a workload was taken back from what the alias means, since it means that."""
        self.taken_back: set[str] = set()
        """The workloads whose version somebody took back, which the alias still means."""

    # What happens in the cluster

    @rule(version=st.sampled_from(["1.0.0", "2.0.0", BROKEN]))
    def move(self, version: str) -> None:
        if version != self.world.champion:
            self.controlled()  # it may miss a meaning that lasts shorter than it takes to look
            self.world.move(version)
            self.undone.clear()
            self.taken_back.clear()
            self.controlled()

    @rule(name=names)
    def observe(self, name: str) -> None:
        self._by_others(name)
        self.world.observe(name)

    @rule(name=names)
    def settle(self, name: str) -> None:
        self._by_others(name)
        self.world.settle(name)

    @rule(name=names)
    def fail(self, name: str) -> None:
        self._by_others(name)
        self.world.fail(name)

    @rule(name=names, replicas=st.sampled_from([0, 1, 3]))
    def scale(self, name: str, replicas: int) -> None:
        self._by_others(name)
        self.world.change(name, replicas=replicas)

    @rule(name=st.sampled_from(["canary", "a", "b", "argo"]), paused=st.booleans())
    def pause(self, name: str, *, paused: bool) -> None:
        self._by_others(name)
        self.world.change(name, paused=paused)

    @rule(name=names, image=st.sampled_from(["app:1", "app:2"]))
    def deploy(self, name: str, image: str) -> None:
        self._by_others(name)
        template = copy.deepcopy(self.world.workloads[name]["spec"]["template"])
        template["spec"]["containers"][0]["image"] = image
        self.world.change(name, template=template)

    @rule(name=names)
    def undo(self, name: str) -> None:
        self.controlled()
        self._by_others(name)
        before = self.world.version(name)
        if self.world.undo(name) and before == self.world.champion != self.world.version(name):
            self.taken_back.add(name)

    @rule(name=names)
    def restart(self, name: str) -> None:
        self._by_others(name)
        self.world.annotate_template(name, RESTARTED, self.world.now.isoformat())
        self.taken_back.discard(name)
        self.undone.pop(name, None)

    @rule(name=names)
    def unlabel(self, name: str) -> None:
        self._by_others(name)
        self.world.unlabel(name)
        self.taken_back.discard(name)
        self.undone.pop(name, None)

    @rule(version=st.sampled_from(["2.0.0", BROKEN]))
    def load(self, version: str) -> None:
        if self.world.not_loaded.pop(version, None) is None:
            self.world.not_loaded[version] = "it is loading"

    @rule(seconds=st.sampled_from([1, 60, 600, 3600]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    def _by_others(self, name: str) -> None:
        self.former[name] = copy.deepcopy(self.world.workloads[name])

    # What the controller does

    @rule()
    def controlled(self) -> None:
        """It decides and takes steps until it comes to rest."""
        for _ in range(6):
            steps = self._decide()
            if not steps:
                return
            for group in steps:
                self._take(group)
        raise AssertionError(f"it does not come to rest: {steps}")

    @rule(number=st.integers(1, 4))
    def killed(self, number: int) -> None:
        """The process ends after some steps; all that remains is on the workloads."""
        for step in [each for group in self._decide() for each in group][:number]:
            self._take((step,))

    @precondition(lambda self: self.former)
    @rule(data=st.data())
    def outdated(self, data: st.DataObject) -> None:
        """It sees a workload as it was before somebody else changed it."""
        name = data.draw(st.sampled_from(sorted(self.former)))
        for group in self._decide(**{name: self.former[name]}):
            self._take(group)

    def _decide(self, **outdated: JSON) -> tuple[tuple[Step, ...], ...]:
        self.seen = {**self.world.workloads, **outdated}
        return self.world.decide(self.seen).steps

    def _take(self, group: tuple[Step, ...]) -> None:
        for step in group:
            if isinstance(step, Emit):
                continue
            assert isinstance(step, Rewrite)
            before = self.world.workloads[step.of.name]
            if not self.world.take_one(step):
                return
            self.former.pop(step.of.name, None)  # it sees what it wrote itself
            if step.template_annotations:
                self._check(step.of.name, before)

    def _check(self, name: str, before: JSON) -> None:
        record = self.world.record(name)
        assert record is not None
        assert record.state in ("progressing", "undoing")
        if record.state == "undoing":
            if record.models[0].to == self.world.champion:
                self.undone[name] += 1
                assert self.undone[name] == 1, f"{name} is undone twice"
            return
        observed = decoded(before)
        assert observed.unsettled == ""
        assert observed.wanted > 0
        assert not observed.is_paused
        assert is_open(self.world.settings.controller.rollouts.maintenance, self.world.now)
        assert self.world.version(name) not in self.world.not_loaded
        assert name not in self.taken_back, f"{name} is rolled out again, though somebody took it back"
        assert not self.undone[name], f"{name} is rolled out again, though it was undone"
        others = [each for other in NAMES if other != name and (each := self.world.record(other))]
        assert all((self.world.now - each.ended_at).total_seconds() >= 60 for each in others if each.ended_at)
        if name in ("a", "b", "set"):
            assert pinned_version(self.seen["canary"]) == self.world.version(name)
            assert decoded(self.seen["canary"]).unsettled == ""

    @invariant()
    def never_more_than_permitted(self) -> None:
        active = 0
        for name in NAMES:
            record = self.world.record(name)
            if record and record.is_active:
                (change,) = record.models
                ours = change.to if record.state == "progressing" else change.before
                active += self.world.version(name) == ours
        assert active <= MOST

    @invariant()
    def what_is_told_apart_adds_up(self) -> None:
        assert sum(self.world.decide().states.values()) == len(NAMES)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=MANY, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
