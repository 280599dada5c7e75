"""What holds for rollouts whatever happens: aliases move, pods fail, persons interfere, processes die."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.controller.following import PREFIX, Cluster, Key, pin
from webhook.controller.followers import follower_of
from webhook.controller.steps import Emit, Rewrite, Step
from webhook.controller.windows import is_open
from webhook.controller.workloads import Workload

VERSIONS = ("1.2.3", "2.0.0", "3.0.0")
WORKLOADS = (("a", "Deployment", "true"), ("b", "StatefulSet", "canary"), ("c", "DaemonSet", "true"))
which, version = st.integers(0, len(WORKLOADS) - 1), st.sampled_from(VERSIONS)
events = st.lists(
    st.one_of(
        st.tuples(st.just("alias"), version),
        st.tuples(st.just("available"), which),
        st.tuples(st.just("unavailable"), which),
        st.tuples(st.just("pause"), which),
        st.tuples(st.just("scale"), which),
        st.tuples(st.just("pin"), which, version),
        st.tuples(st.just("undo"), which),
        st.tuples(st.just("time"), st.sampled_from([1, 60, 700, 6 * 3600])),
        st.tuples(st.just("observe"), which),
        st.tuples(st.just("decide"), st.integers(0, 8)),
        st.tuples(st.just("decide"), st.just(100)),
        st.tuples(st.just("restart")),
    ),
    max_size=60,
)


class World:
    """A cluster, and a controller that sees changes of others late."""

    def __init__(self, most: int) -> None:
        window = {"start": "06:00", "duration": "12h"}
        self.cluster = Cluster(maxConcurrent=most, pause=30, deadline=600, maintenance=[window])
        self.most = most
        self.keys = [self.cluster.add(name, kind, follow=follow) for name, kind, follow in WORKLOADS]
        self.seen: dict[Key, Workload] = {}
        self.undone = set[tuple[Key, str]]()
        """What was undone since the alias moved last."""
        self.earlier: dict[Key, tuple[str, dict[str, str]]] = {}
        """The pin and the annotations of a Deployment before its last rollout, as its ReplicaSet has them."""
        self.do_restart()

    def do_alias(self, version: str) -> None:
        if self.cluster.meanings["my-model", "@champion"] != version:
            self.undone.clear()
        self.cluster.moves(version)

    def do_available(self, index: int) -> None:
        self.cluster.becomes_available(self.keys[index])

    def do_unavailable(self, index: int) -> None:
        self.cluster.becomes_unavailable(self.keys[index])

    def do_pause(self, index: int) -> None:
        self.cluster.change(self.keys[index], lambda new: new["spec"].update(paused=not new["spec"].get("paused")))

    def do_scale(self, index: int) -> None:
        replicas = 0 if self.cluster.objects[self.keys[index]]["spec"]["replicas"] else 2
        self.cluster.change(self.keys[index], lambda new: new["spec"].update(replicas=replicas))
        self.cluster.becomes_available(self.keys[index])

    def do_pin(self, index: int, version: str) -> None:
        self.cluster.set_pin(self.keys[index], pin(version))

    def do_undo(self, index: int) -> None:
        key = self.keys[index]
        if key in self.earlier:
            text, annotations = self.earlier[key]
            if key[1] == "Deployment":
                self.cluster.change(key, lambda new: new["metadata"].update(annotations=dict(annotations)))
            self.cluster.set_pin(key, text)

    def do_time(self, seconds: int) -> None:
        self.cluster.passes(seconds)

    def do_observe(self, index: int) -> None:
        self.seen[self.keys[index]] = self.cluster.workload(self.keys[index])

    def do_restart(self) -> None:
        self.seen = {key: self.cluster.workload(key) for key in self.keys}

    def do_decide(self, steps: int) -> None:
        """Decide, and take some of the steps; then the process dies, or the rest conflicts."""
        left = steps
        for group in self.cluster.decide(self.seen).steps:
            for step in group:
                if left == 0:
                    self.do_restart()
                    return
                left -= 1
                if not self.take(step):
                    break

    def take(self, step: Step) -> bool:
        if isinstance(step, Emit):
            return self.cluster.take(step)
        assert isinstance(step, Rewrite)
        key = (step.of.namespace, step.of.resource.kind, step.of.name)
        before = self.cluster.workload(key)
        record, template = self.cluster.record(key), self.cluster.template(key)[f"{PREFIX}/pinned"]
        annotations = self.cluster.objects[key]["metadata"].get("annotations", {})
        if not self.cluster.take(step):
            self.do_observe(self.keys.index(key))
            return False
        self.seen[key] = self.cluster.workload(key)
        written = self.cluster.record(key)
        if step.template_annotations:
            self.earlier[key] = (template, annotations)
            if written["state"] == "progressing":
                self.check_start(before)
            else:
                self.check_undo(key, record, written)
        return True

    def check_start(self, before: Workload) -> None:
        assert before.is_available
        assert not before.hold
        assert is_open(self.cluster.settings.controller.rollouts.maintenance, self.cluster.now)
        assert sum(self.is_counted(self.seen[key]) for key in self.keys) <= self.most

    def check_undo(self, key: Key, record: dict[str, Any], written: dict[str, Any]) -> None:
        assert (record["state"], written["state"]) == ("progressing", "undone")
        undone = key, record["models"][0]["to"]
        assert undone not in self.undone
        self.undone.add(undone)
        assert self.cluster.version(key) == record["models"][0]["from"]
        assert json.loads(self.cluster.template(key)[f"{PREFIX}/pinned"]) == json.loads(record["before"])

    def is_counted(self, workload: Workload) -> bool:
        follower = follower_of(workload, self.cluster.meaning, self.cluster.settings)
        return follower is not None and follower.is_counted


@settings(max_examples=300)
@given(events, st.integers(1, 2))
def test_limits_hold_undone_is_undone_once_and_it_comes_to_rest(happening: list[tuple[Any, ...]], most: int) -> None:
    world = World(most)
    for name, *arguments in happening:
        getattr(world, f"do_{name}")(*arguments)
    world.do_restart()
    world.cluster.settle()
    outcome = world.cluster.decide()
    assert outcome.steps == ()
    assert sum(outcome.states.values()) == len(WORKLOADS)
    assert outcome.next_seconds is None or outcome.next_seconds >= 1


@settings(max_examples=100)
@given(events, st.integers(1, 2))
def test_what_nobody_disturbs_gets_there(happening: list[tuple[Any, ...]], most: int) -> None:
    """Afterwards all pods are healthy and nobody interferes: a new version reaches all."""
    world = World(most)
    for name, *arguments in happening:
        getattr(world, f"do_{name}")(*arguments)
    world.cluster.moves("4.0.0")
    for key in world.keys:
        world.cluster.change(key, lambda new: new["spec"].update(paused=False, replicas=2))
    for _ in range(40):
        for key in world.keys:
            world.cluster.becomes_available(key)
        world.do_restart()
        world.do_decide(100)
        world.do_time(3600)
    assert {world.cluster.version(key) for key in world.keys} == {"4.0.0"}
