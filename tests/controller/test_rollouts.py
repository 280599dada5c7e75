"""Rollouts of what references mean: when they start, how they end, and what people see of them."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.controller.rollouts import NOON, PREFIX, RESTARTED, World, annotations_of
from webhook.controller.records import label_of
from webhook.controller.steps import Emit, Rewrite

ALL_KINDS = pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Rollout"])


def world(name: str = "app", kind: str = "Deployment", **rollouts: object) -> World:
    """A world with one workload, whose rollout to 2.0.0 has started."""
    found = World(**rollouts)
    found.add(name, kind)
    found.reconcile()
    found.move("2.0.0")
    assert found.reconcile() == ["RolloutStarted"]
    return found


@ALL_KINDS
def test_a_workload_gets_what_its_reference_means(kind: str) -> None:
    cluster = world(kind=kind)
    assert (cluster.version("app"), cluster.state("app")) == ("2.0.0", "progressing")
    cluster.observe("app")
    assert cluster.reconcile() == []
    cluster.settle("app")
    assert cluster.reconcile() == ["RolloutDone"]
    assert (cluster.version("app"), cluster.state("app")) == ("2.0.0", "done")


def test_an_event_and_an_annotation_say_from_what_to_what_and_why() -> None:
    cluster = world()
    (event,) = cluster.events
    assert event.message == "my-model from 1.0.0 to 2.0.0: my-model @champion means 2.0.0"
    assert json.loads(cluster.workloads["app"]["metadata"]["annotations"][f"{PREFIX}/rollout"]) == {
        "state": "progressing",
        "at": "2026-06-01T12:00:00Z",
        "models": [
            {"source": "default", "model": "my-model", "asked": "@champion", "from": "1.0.0", "to": "2.0.0"},
        ],
        "reason": "my-model @champion means 2.0.0",
    }


def test_nothing_but_the_pin_of_the_template_is_changed() -> None:
    cluster = World()
    cluster.add("app")
    cluster.reconcile()
    cluster.move("2.0.0")
    ((rewrite, event),) = cluster.decide().steps
    assert isinstance(rewrite, Rewrite)
    assert isinstance(event, Emit)
    assert set(rewrite.template_annotations) == {f"{PREFIX}/pinned"}


@ALL_KINDS
def test_a_version_that_does_not_become_available_is_undone_once(kind: str) -> None:
    cluster = World()
    cluster.add("app", kind)
    cluster.reconcile()
    before = annotations_of(cluster.workloads["app"])
    cluster.broken.add("2.0.0")
    cluster.move("2.0.0")
    cluster.reconcile()
    cluster.settle("app")
    if kind == "Rollout":
        cluster.status("app", phase="Degraded", message="ReplicaSet has timed out progressing")
    else:
        cluster.wait(599)
        assert cluster.reconcile() == []
        cluster.wait(1)
    assert cluster.reconcile() == ["RolloutUndone"]
    assert annotations_of(cluster.workloads["app"]) == before, "a Deployment's former ReplicaSet is used again"
    cluster.settle("app")
    cluster.reconcile()
    assert (cluster.version("app"), cluster.state("app")) == ("1.0.0", "undone")
    cluster.wait(100_000)
    assert cluster.decide().steps == ()
    cluster.move("3.0.0")
    cluster.reconcile()
    assert cluster.version("app") == "3.0.0"


def test_the_event_of_an_undone_rollout_has_the_workloads_own_message() -> None:
    cluster = world()
    cluster.broken.add("2.0.0")
    cluster.settle("app")
    cluster.wait(600)
    cluster.reconcile()
    assert cluster.events[-1].type == "Warning"
    assert cluster.events[-1].message == (
        "my-model from 2.0.0 back to 1.0.0: not available within 600 seconds: 2 of 2 replicas are updated, 0 are "
        "available; no pod is ready"
    )


def test_a_stateful_set_that_hangs_after_an_undo_says_what_to_do() -> None:
    cluster = world(kind="StatefulSet")
    cluster.broken |= {"1.0.0", "2.0.0"}
    cluster.settle("app")
    cluster.wait(600)
    assert cluster.reconcile() == ["RolloutUndone"]
    cluster.wait(600)
    assert cluster.reconcile() == ["RolloutUndoIncomplete"]
    assert "delete its pod that is not ready" in cluster.events[-1].message
    assert cluster.state("app") == "undone"


def test_an_alias_that_moves_back_undoes_a_rollout_at_once() -> None:
    cluster = world()
    cluster.observe("app")
    cluster.move("1.0.0")
    assert cluster.reconcile() == ["RolloutUndone"]
    assert cluster.version("app") == "1.0.0"
    cluster.settle("app")
    cluster.reconcile()
    cluster.wait(61)
    cluster.move("2.0.0")
    cluster.reconcile()
    assert cluster.version("app") == "2.0.0", "it has meant something else in between"


def test_an_alias_that_moves_on_waits_for_the_end_of_the_rollout() -> None:
    cluster = world()
    cluster.move("3.0.0")
    assert cluster.reconcile() == []
    cluster.settle("app")
    assert cluster.reconcile() == ["RolloutDone"]
    assert cluster.state("app") == "waiting"
    cluster.wait(60)
    assert cluster.reconcile() == ["RolloutStarted"]


@ALL_KINDS
@pytest.mark.parametrize("is_done", [True, False])
def test_what_a_person_takes_back_is_not_rolled_out_again(kind: str, *, is_done: bool) -> None:
    cluster = world(kind=kind)
    cluster.observe("app")
    if is_done:
        cluster.settle("app")
        cluster.reconcile()
    assert cluster.undo("app")
    cluster.settle("app")
    assert cluster.version("app") == "1.0.0"
    assert "RolloutHeld" in cluster.reconcile()
    cluster.wait(100_000)
    assert cluster.reconcile() == []
    assert (cluster.version("app"), cluster.state("app")) == ("1.0.0", "held")


def test_a_record_that_a_rollback_brings_back_is_not_the_latest() -> None:
    cluster = world()
    cluster.observe("app")
    cluster.broken.add("2.0.0")
    cluster.wait(600)
    assert cluster.reconcile() == ["RolloutUndone"]
    cluster.settle("app")
    cluster.reconcile()
    assert cluster.undo("app"), "to 2.0.0, with the record of then, by which its deadline has passed"
    assert '"state":"progressing"' in cluster.workloads["app"]["metadata"]["annotations"][f"{PREFIX}/rollout"]
    cluster.wait(10_000)
    assert cluster.reconcile() == []
    assert (cluster.version("app"), cluster.state("app")) == ("2.0.0", "")


def test_kubectl_shows_the_state_by_a_label() -> None:
    cluster = world()
    assert cluster.workloads["app"]["metadata"]["labels"][f"{PREFIX}/rollout"].startswith("progressing-")


def test_what_was_taken_back_is_tried_again_without_the_label() -> None:
    cluster = world()
    cluster.settle("app")
    cluster.reconcile()
    cluster.undo("app")
    cluster.settle("app")
    cluster.reconcile()
    cluster.wait(60)
    cluster.unlabel("app")
    assert cluster.reconcile() == ["RolloutStarted"]


def test_a_version_that_a_person_restarted_to_and_took_back_is_not_rolled_out_either() -> None:
    cluster = World()
    cluster.add("app")
    cluster.reconcile()
    cluster.not_loaded["2.0.0"] = "it is loading"
    cluster.move("2.0.0")
    cluster.reconcile()
    cluster.annotate_template("app", RESTARTED, "2026-06-01T12:00:00Z")
    cluster.settle("app")
    assert cluster.version("app") == "2.0.0"
    cluster.reconcile()
    cluster.not_loaded.clear()
    cluster.undo("app")
    cluster.settle("app")
    assert cluster.reconcile() == ["RolloutHeld"]


def test_a_restart_by_a_person_tries_an_undone_version_again() -> None:
    cluster = world()
    cluster.broken.add("2.0.0")
    cluster.settle("app")
    cluster.wait(600)
    cluster.reconcile()
    cluster.settle("app")
    cluster.reconcile()
    cluster.broken.clear()
    cluster.annotate_template("app", RESTARTED, "2026-06-01T13:00:00Z")
    cluster.settle("app")
    cluster.wait(100)
    cluster.reconcile()
    assert (cluster.version("app"), cluster.state("app")) == ("2.0.0", "")


def test_a_restart_during_a_rollout_is_undone_with_the_pin() -> None:
    cluster = world()
    cluster.annotate_template("app", RESTARTED, "2026-06-01T12:01:00Z")
    cluster.broken.add("2.0.0")
    cluster.settle("app")
    cluster.wait(600)
    assert cluster.reconcile() == ["RolloutUndone"]
    assert cluster.version("app") == "1.0.0"


def test_a_rollout_that_somebody_pauses_is_left_to_them() -> None:
    cluster = world()
    cluster.change("app", paused=True)
    cluster.reconcile()
    cluster.wait(10_000)
    cluster.reconcile()
    assert cluster.version("app") == "2.0.0"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"paused": True}, "it is paused"),
        ({"replicas": 0}, "it is scaled to zero, where nothing would show whether it works"),
    ],
)
def test_it_does_not_start_while_the_workload_is_not_running(spec: dict[str, object], reason: str) -> None:
    cluster = World()
    cluster.add("app")
    cluster.change("app", **spec)
    cluster.observe("app")
    cluster.move("2.0.0")
    cluster.reconcile()
    record = cluster.record("app")
    assert record is not None
    assert (record.state, record.reason, cluster.version("app")) == ("waiting", reason, "1.0.0")


@ALL_KINDS
def test_it_does_not_start_while_the_workload_is_unhealthy_or_rolls_out(kind: str) -> None:
    cluster = World()
    cluster.add("app", kind)
    cluster.fail("app")
    cluster.move("2.0.0")
    cluster.reconcile()
    assert cluster.version("app") == "1.0.0"
    cluster.settle("app")
    cluster.annotate_template("app", "team", "search")
    cluster.reconcile()
    assert cluster.version("app") == "1.0.0", "its controller has not seen the template yet"
    cluster.observe("app")
    cluster.reconcile()
    assert cluster.version("app") == "1.0.0"
    if kind == "Rollout":
        cluster.status("app", phase="Healthy", stableRS="new")
    cluster.settle("app")
    cluster.reconcile()
    assert cluster.version("app") == "2.0.0"


def test_it_waits_until_the_version_is_loaded() -> None:
    cluster = World()
    cluster.add("app")
    cluster.not_loaded["2.0.0"] = "the claim is not ready: its state is loading"
    cluster.move("2.0.0")
    cluster.reconcile()
    record = cluster.record("app")
    assert record is not None
    assert (record.state, record.reason) == ("waiting", "the claim is not ready: its state is loading")
    cluster.not_loaded.clear()
    assert cluster.reconcile() == ["RolloutStarted"]


def test_as_many_as_permitted_roll_out_and_the_next_follows_after_the_pause() -> None:
    cluster = World(maxConcurrent=2)
    for name in ("a", "b", "c"):
        cluster.add(name)
    cluster.move("2.0.0")
    cluster.reconcile()
    assert [cluster.state(name) for name in "abc"] == ["progressing", "progressing", "waiting"]
    cluster.settle("a")
    cluster.reconcile()
    outcome = cluster.decide()
    assert outcome.next_time == NOON + timedelta(seconds=60)
    assert outcome.states == {"current": 1, "progressing": 1, "waiting": 1}
    cluster.wait(59)
    assert cluster.reconcile() == []
    cluster.wait(1)
    assert cluster.reconcile() == ["RolloutStarted"]


def test_who_waits_longest_is_first() -> None:
    cluster = World()
    for name in ("a", "b", "c"):
        cluster.add(name, follow="false" if name == "a" else "true")
    cluster.move("2.0.0")
    cluster.fail("b")
    cluster.reconcile()
    assert [cluster.state(name) for name in "abc"] == ["", "waiting", "progressing"]
    cluster.wait(10)
    cluster.annotate_template("a", f"{PREFIX}/follow", "true")
    for name in ("a", "b", "c"):
        cluster.settle(name)
    cluster.reconcile()
    cluster.wait(60)
    cluster.reconcile()
    assert [cluster.state(name) for name in "abc"] == ["waiting", "progressing", "done"]


def test_canaries_go_first_and_the_others_of_the_namespace_wait_until_they_have_been_done_for_the_pause() -> None:
    cluster = World(maxConcurrent=10)
    cluster.add("canary", follow="canary")
    cluster.add("app")
    cluster.add("elsewhere", namespace="other")
    cluster.add("another-reference", annotations={"version": "^2 || ^1"})
    cluster.reconcile()
    cluster.move("2.0.0")
    cluster.reconcile()
    assert [cluster.state(name) for name in ("canary", "app", "elsewhere")] == ["progressing", "waiting", "progressing"]
    record = cluster.record("app")
    assert record is not None
    assert record.reason == "the canary canary comes first"
    cluster.settle("canary")
    cluster.settle("elsewhere")
    cluster.wait(30)
    cluster.reconcile()
    cluster.wait(59)
    cluster.reconcile()
    assert cluster.state("app") == "waiting"
    cluster.wait(1)
    cluster.reconcile()
    assert cluster.state("app") == "progressing"


def test_a_canary_that_was_undone_holds_the_others_back() -> None:
    cluster = World(maxConcurrent=10)
    cluster.add("canary", follow="canary")
    cluster.add("app")
    cluster.broken.add("2.0.0")
    cluster.move("2.0.0")
    cluster.reconcile()
    cluster.settle("canary")
    cluster.wait(600)
    cluster.reconcile()
    cluster.settle("canary")
    cluster.reconcile()
    cluster.wait(100_000)
    cluster.reconcile()
    assert (cluster.state("canary"), cluster.version("app")) == ("undone", "1.0.0")


def test_no_rollout_starts_outside_of_maintenance_windows_and_one_that_runs_is_undone_at_any_time() -> None:
    cluster = World(maintenance=[{"days": ["Mon"], "start": "13:00", "duration": "1h"}])
    cluster.add("app")
    cluster.move("2.0.0")
    cluster.reconcile()
    record = cluster.record("app")
    assert record is not None
    assert record.reason == "no maintenance window is open"
    assert cluster.decide().next_time == NOON + timedelta(hours=1)
    cluster.wait(3600)
    assert cluster.reconcile() == ["RolloutStarted"]
    cluster.broken.add("2.0.0")
    cluster.settle("app")
    cluster.wait(4000)
    assert cluster.reconcile() == ["RolloutUndone"]


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_a_workload_that_does_not_replace_its_pods_is_told_of_once(kind: str) -> None:
    cluster = World()
    cluster.add("app", kind, updateStrategy={"type": "OnDelete"})
    cluster.move("2.0.0")
    assert cluster.reconcile() == ["RolloutBlocked"]
    cluster.wait(100_000)
    assert cluster.reconcile() == []
    assert "OnDelete" in cluster.events[0].message


def test_a_version_whose_pods_would_be_refused_is_not_rolled_out() -> None:
    cluster = World()
    cluster.add("app")
    rules = [{"models": ["my-model"], "allow": False, "message": "ask the platform team"}]
    cluster.settings = cluster.settings.model_validate({**cluster.settings.model_dump(), "rules": rules})
    cluster.move("2.0.0")
    assert cluster.reconcile() == ["RolloutBlocked"]
    assert "ask the platform team" in cluster.events[0].message
    assert cluster.version("app") == "1.0.0"


def test_a_workload_that_is_not_pinned_could_not_be_undone_and_is_not_rolled_out() -> None:
    cluster = World()
    cluster.add("app")
    del annotations_of(cluster.workloads["app"])[f"{PREFIX}/pinned"]
    assert cluster.reconcile() == ["RolloutBlocked"]


def test_nothing_happens_while_it_is_not_certain_what_a_reference_means() -> None:
    cluster = World()
    cluster.add("app")
    cluster.reconcile()
    cluster.move("2.0.0")
    cluster.catalog.listing_failed("default", "S3 does not answer")
    assert cluster.decide().steps == ()
    assert cluster.decide().states == {"unknown": 1}


def test_a_label_of_false_stops_the_controller() -> None:
    cluster = World()
    cluster.add("app")
    cluster.workloads["app"]["metadata"]["labels"][f"{PREFIX}/follow"] = "false"
    cluster.annotate_template("app", "team", "search")
    assert cluster.workloads["app"]["metadata"]["labels"][f"{PREFIX}/follow"] == "false"
    cluster.move("2.0.0")
    assert cluster.decide().steps == ()


def test_the_traces_of_a_workload_that_follows_no_more_are_removed() -> None:
    cluster = world()
    cluster.annotate_template("app", f"{PREFIX}/follow", "false")
    cluster.reconcile()
    assert cluster.workloads["app"]["metadata"]["annotations"] == {}
    assert cluster.workloads["app"]["metadata"]["labels"] == {f"{PREFIX}/follow": "true"}


def test_an_argo_rollout_takes_its_own_time_and_its_abort_is_a_failure() -> None:
    cluster = world(kind="Rollout")
    cluster.observe("app")
    cluster.status("app", phase="Paused", message="CanaryPauseStep")
    cluster.wait(100_000)
    assert cluster.reconcile() == []
    cluster.status("app", phase="Degraded", abort=True, message="metric error-rate assessed Failed")
    assert cluster.reconcile() == ["RolloutUndone"]
    assert "metric error-rate assessed Failed" in cluster.events[-1].message
    assert cluster.version("app") == "1.0.0"


def test_a_partition_of_a_stateful_set_is_its_own_canary() -> None:
    cluster = World()
    cluster.add("app", "StatefulSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}})
    cluster.move("2.0.0")
    cluster.reconcile()
    cluster.observe("app")
    cluster.status("app", updatedReplicas=1)
    assert cluster.reconcile() == ["RolloutDone"]


def test_of_several_models_only_what_changed_is_rolled_out_and_only_that_is_undone() -> None:
    cluster = World()
    models = "[{model: my-model, version: '@champion'}, {model: other, version: 1.x}]"
    cluster.add("app", annotations={"models": models})
    del annotations_of(cluster.workloads["app"])[f"{PREFIX}/model"]
    cluster.annotate_template("app", RESTARTED, "2026-06-01T11:00:00Z")
    cluster.settle("app")
    cluster.reconcile()

    def pinned() -> dict[str, str]:
        text = annotations_of(cluster.workloads["app"])[f"{PREFIX}/pinned"]
        return {each["model"]: each["version"] for each in json.loads(text)["models"]}

    assert pinned() == {"my-model": "1.0.0", "other": "1.1.0"}
    cluster.move("2.0.0")
    cluster.reconcile()
    assert pinned() == {"my-model": "2.0.0", "other": "1.1.0"}
    cluster.move("1.0.0")
    cluster.reconcile()
    assert pinned() == {"my-model": "1.0.0", "other": "1.1.0"}


def test_a_record_from_the_future_takes_no_slot() -> None:
    cluster = world("first", maxConcurrent=1)
    cluster.add("app")
    cluster.reconcile()
    record = cluster.record("first")
    assert record is not None
    forged = replace(record, at=record.at + timedelta(days=365))
    cluster.workloads["first"]["metadata"]["annotations"][f"{PREFIX}/rollout"] = forged.encode()
    cluster.workloads["first"]["metadata"]["labels"][f"{PREFIX}/rollout"] = label_of(forged)
    cluster.move("3.0.0")
    cluster.settle("app")
    cluster.reconcile()
    cluster.wait(60)
    cluster.reconcile()
    assert cluster.state("app") == "progressing"
