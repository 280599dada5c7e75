"""Workloads follow their references: within limits, and back again if that fails."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.controller.following import NOON, PREFIX, Cluster, pin
from webhook.controller.steps import Emit, Rewrite

ROLLED_OUT = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")


def reasons(cluster: Cluster) -> list[str]:
    return [event.reason for event in cluster.events]


def label(cluster: Cluster, key: tuple[str, str, str]) -> str | None:
    found: str | None = cluster.objects[key]["metadata"]["labels"].get(f"{PREFIX}/followed")
    return found


@pytest.mark.parametrize("kind", ROLLED_OUT)
def test_a_moved_alias_restarts_a_workload_and_says_so(kind: str) -> None:
    cluster = Cluster()
    key = cluster.add(kind=kind)
    assert cluster.settle() == {"current": 1}
    assert cluster.events == []
    cluster.moves("2.0.0")
    assert cluster.settle() == {"progressing": 1}
    assert cluster.version(key) == "2.0.0"
    (started,) = cluster.events
    assert (started.type, started.reason, started.of.name) == ("Normal", "RolloutStarted", "app")
    assert started.message == "my-model @champion from 1.2.3 to 2.0.0: the reference means another version now"
    record = cluster.record(key)
    assert (record["state"], record["at"]) == ("progressing", "2026-01-05T12:00:00Z")
    assert record["models"] == [{"model": "my-model", "version": "@champion", "from": "1.2.3", "to": "2.0.0"}]
    cluster.becomes_available(key)
    assert cluster.settle() == {"current": 1}
    assert cluster.events[-1].message == "my-model @champion from 1.2.3 to 2.0.0"
    assert reasons(cluster) == ["RolloutStarted", "RolloutDone"]
    assert cluster.record(key)["state"] == "done"


def test_a_range_follows_as_an_alias_does_and_an_exact_version_never() -> None:
    cluster = Cluster()
    ranged = cluster.add("ranged", version="^1", pinned=pin("1.2.3", "^1"))
    exact = cluster.add("exact", version="1.2.3", pinned="")
    cluster.meanings["my-model", "^1"] = "1.3.0"
    assert cluster.settle() == {"current": 1, "progressing": 1}
    assert cluster.version(ranged) == "1.3.0"
    assert cluster.record(exact) == {}
    assert label(cluster, exact) is None


@pytest.mark.parametrize("annotations", [{"follow": "false"}, {"inject": "false"}])
def test_a_workload_that_does_not_follow_is_left_alone(annotations: dict[str, Any]) -> None:
    cluster = Cluster()
    cluster.add(**annotations)
    cluster.moves("2.0.0")
    outcome = cluster.decide()
    assert outcome.steps == ()
    assert set(outcome.states.values()) == {0}


def test_only_the_pins_that_change_are_written_and_the_others_stay_as_they_are() -> None:
    cluster = Cluster()
    both = json.dumps(
        {
            "models": [
                {"source": "default", "model": "my-model", "asked": "@champion", "version": "1.2.3"},
                {
                    "source": "default",
                    "model": "other",
                    "asked": "^1",
                    "version": "1.0.0",
                    "strategies": ["shared-volume", "s3-init"],
                    "strategy": "shared-volume",
                },
            ],
            "restartedAt": "2026-01-01T00:00:00Z",
        },
        separators=(",", ":"),
    )
    models = (
        "[{model: my-model, version: '@champion'}, {model: other, version: ^1, strategy: 'shared-volume, s3-init'}]"
    )
    key = cluster.add(pinned=both, models=models)

    def change(new: Any) -> None:
        annotations = new["spec"]["template"]["metadata"]["annotations"]
        for name in ("model", "version"):
            del annotations[f"{PREFIX}/{name}"]
        annotations["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"

    cluster.change(key, change)
    cluster.becomes_available(key)
    cluster.meanings["other", "^1"] = "1.0.0"
    cluster.moves("2.0.0")
    cluster.settle()
    assert cluster.template(key)[f"{PREFIX}/pinned"] == both.replace("1.2.3", "2.0.0")
    cluster.moves("1.2.3")
    cluster.settle()
    assert cluster.template(key)[f"{PREFIX}/pinned"] == both


def test_of_a_version_that_changes_the_webhook_chooses_the_strategy_anew() -> None:
    cluster = Cluster()
    pinned = json.loads(pin("1.2.3"))
    pinned["models"][0] |= {"strategies": ["shared-volume", "s3-init"], "strategy": "s3-init"}
    key = cluster.add(pinned=json.dumps(pinned), strategy="shared-volume, s3-init")
    cluster.moves("2.0.0")
    cluster.settle()
    (written,) = json.loads(cluster.template(key)[f"{PREFIX}/pinned"])["models"]
    assert written["strategies"] == ["shared-volume", "s3-init"]
    assert "strategy" not in written


class TestLimits:
    def test_so_many_at_once_in_the_order_of_their_names(self) -> None:
        cluster = Cluster(maxConcurrent=2)
        keys = [cluster.add(f"app-{number}") for number in (3, 1, 2)]
        cluster.moves("2.0.0")
        assert cluster.settle() == {"progressing": 2, "waiting": 1}
        assert [cluster.version(key) for key in keys] == ["1.2.3", "2.0.0", "2.0.0"]
        cluster.becomes_available(keys[1])
        cluster.round()
        cluster.passes(1)
        assert cluster.settle() == {"current": 1, "progressing": 2}

    def test_a_pause_between_the_end_of_one_and_the_start_of_the_next(self) -> None:
        cluster = Cluster(pause=60)
        first, second = cluster.add("a"), cluster.add("b")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_available(first)
        assert cluster.round().next_seconds == 60
        cluster.passes(20)
        assert cluster.settle() == {"current": 1, "waiting": 1}
        assert cluster.decide().next_seconds == 40
        cluster.passes(40)
        assert cluster.settle() == {"current": 1, "progressing": 1}
        assert cluster.version(second) == "2.0.0"

    def test_only_in_maintenance_windows_and_the_next_opening_is_awaited(self) -> None:
        cluster = Cluster(maintenance=[{"start": "22:00", "duration": "8h"}])
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.round()
        assert cluster.decide().next_seconds == 10 * 3600
        assert cluster.settle() == {"waiting": 1}
        cluster.passes(10 * 3600)
        assert cluster.settle() == {"progressing": 1}
        cluster.passes(9 * 3600)  # an undo does not wait for a window
        assert cluster.settle() == {"undone": 1}
        assert cluster.version(key) == "1.2.3"

    @pytest.mark.parametrize("kind", ROLLED_OUT)
    def test_never_while_it_is_unhealthy_or_its_status_is_old(self, kind: str) -> None:
        cluster = Cluster()
        key = cluster.add(kind=kind)
        cluster.becomes_unavailable(key)
        cluster.moves("2.0.0")
        assert cluster.settle() == {"waiting": 1}
        cluster.becomes_available(key)
        cluster.change(key, lambda new: new["spec"].update(minReadySeconds=5))
        assert cluster.settle() == {"waiting": 1}
        cluster.becomes_available(key)
        assert cluster.settle() == {"progressing": 1}

    def test_never_while_it_is_paused(self) -> None:
        cluster = Cluster()
        cluster.add(spec={"paused": True})
        cluster.moves("2.0.0")
        assert cluster.settle() == {"waiting": 1}

    def test_not_before_the_version_is_loaded(self) -> None:
        cluster = Cluster()
        cluster.add(strategy="shared-volume")
        cluster.unloaded = {("apps", "shared-volume", "2.0.0")}
        cluster.moves("2.0.0")
        assert cluster.settle() == {"waiting": 1}
        cluster.unloaded.clear()
        assert cluster.settle() == {"progressing": 1}

    @pytest.mark.parametrize(("strategy", "expected"), [("shared-volume", "waiting"), ("s3-init", "progressing")])
    def test_it_gets_no_worse_strategy_than_it_has(self, strategy: str, expected: str) -> None:
        cluster = Cluster()
        pinned = json.loads(pin("1.2.3"))
        pinned["models"][0] |= {"strategies": ["shared-volume", "s3-init"], "strategy": strategy}
        cluster.add(pinned=json.dumps(pinned), strategy="shared-volume, s3-init")
        cluster.unloaded = {("apps", "shared-volume", "2.0.0")}
        cluster.moves("2.0.0")
        assert cluster.settle() == {expected: 1}

    @pytest.mark.parametrize("kind", ROLLED_OUT)
    def test_it_does_not_start_without_pods_that_would_show_whether_the_version_works(self, kind: str) -> None:
        cluster = Cluster()
        key = cluster.add(kind=kind)
        cluster.change(key, lambda new: new["spec"].update(replicas=0))
        cluster.becomes_available(key)
        cluster.moves("2.0.0")
        assert cluster.settle() == {"waiting": 1}
        assert cluster.version(key) == "1.2.3"
        cluster.change(key, lambda new: new["spec"].update(replicas=1))
        cluster.becomes_available(key)
        assert cluster.settle() == {"progressing": 1}

    def test_a_time_that_is_yet_to_come_holds_nothing_up(self) -> None:
        cluster = Cluster(pause=60)
        key = cluster.add("a")
        forged = {"state": "done", "at": "2099-01-01T00:00:00Z"}
        cluster.change(key, lambda new: new["metadata"].update(annotations={f"{PREFIX}/rollout": json.dumps(forged)}))
        cluster.moves("2.0.0")
        assert cluster.settle() == {"progressing": 1}


class TestUndo:
    @pytest.mark.parametrize("kind", ROLLED_OUT)
    def test_after_the_deadline_the_earlier_pin_is_back_and_the_version_is_not_tried_again(self, kind: str) -> None:
        cluster = Cluster(deadline=600)
        key = cluster.add(kind=kind)
        before = cluster.template(key)
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_unavailable(key, phase="Unknown", message="no pod starts")
        cluster.passes(599)
        assert cluster.decide().next_seconds == 1
        assert cluster.settle() == {"progressing": 1}
        cluster.passes(1)
        assert cluster.settle() == {"undone": 1}
        assert cluster.template(key) == before
        event = cluster.events[-1]
        assert (event.type, event.reason) == ("Warning", "RolloutUndone")
        assert event.message.startswith(
            "my-model @champion from 1.2.3 to 2.0.0 is undone: not available within 0:10:00: "
        )
        cluster.becomes_available(key)
        cluster.passes(10 * 600)
        assert cluster.settle() == {"undone": 1}
        assert reasons(cluster) == ["RolloutStarted", "RolloutUndone"]

    def test_the_event_has_the_message_of_the_deployment(self) -> None:
        cluster = Cluster(deadline=600)
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "denied: no model"}
        available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "yes"}
        cluster.becomes_unavailable(key, conditions=[available, failure])
        cluster.passes(600)
        cluster.settle()
        assert cluster.events[-1].message.endswith("FailedCreate: denied: no model")
        assert cluster.record(key)["reason"].endswith("FailedCreate: denied: no model")

    def test_of_several_models_only_what_was_not_undone_is_tried(self) -> None:
        cluster = Cluster(deadline=600)
        cluster.meanings["other", "@champion"] = "1.0.0"
        models = "[{model: my-model, version: '@champion'}, {model: other, version: '@champion'}]"
        pinned = json.loads(pin("1.2.3"))
        pinned["models"] += json.loads(pin("1.0.0", model="other"))["models"]
        key = cluster.add(pinned=json.dumps(pinned), models=models)
        for name in ("model", "version"):
            del cluster.template(key)[f"{PREFIX}/{name}"]

        def versions() -> list[str]:
            return [each["version"] for each in json.loads(cluster.template(key)[f"{PREFIX}/pinned"])["models"]]

        cluster.moves("2.0.0")
        cluster.settle()
        assert versions() == ["2.0.0", "1.0.0"]
        cluster.passes(600)
        assert cluster.settle() == {"undone": 1}
        cluster.becomes_available(key)
        cluster.meanings["other", "@champion"] = "1.1.0"
        cluster.passes(60)
        assert cluster.settle() == {"progressing": 1}
        assert versions() == ["1.2.3", "1.1.0"]
        cluster.becomes_available(key)
        assert cluster.settle() == {"undone": 1}
        cluster.meanings["other", "@champion"] = "1.0.0"
        cluster.passes(60)
        assert cluster.settle() == {"progressing": 1}
        assert versions() == ["1.2.3", "1.0.0"]

    def test_a_version_is_tried_again_after_the_reference_has_meant_another_one(self) -> None:
        cluster = Cluster(deadline=600)
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.passes(600)
        cluster.settle()
        cluster.becomes_available(key)
        cluster.moves("1.2.3")
        assert cluster.settle() == {"current": 1}
        cluster.moves("2.0.0")
        cluster.passes(60)
        assert cluster.settle() == {"progressing": 1}

    def test_the_next_version_is_tried(self) -> None:
        cluster = Cluster(deadline=600)
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.passes(600)
        cluster.settle()
        cluster.becomes_available(key)
        cluster.moves("2.0.1")
        cluster.passes(60)
        assert cluster.settle() == {"progressing": 1}
        assert cluster.record(key)["models"][0]["from"] == "1.2.3"

    def test_an_alias_that_moves_back_undoes_a_rollout_under_way_at_once(self) -> None:
        cluster = Cluster()
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.moves("1.2.3")
        assert cluster.settle() == {"current": 1}
        assert cluster.version(key) == "1.2.3"
        assert cluster.events[-1].message.endswith("the reference means the earlier version again")

    def test_what_undid_a_restart_in_between_keeps_the_earlier_version(self) -> None:
        """The webhook would take a pin from before the restart for an old one, and choose anew."""
        cluster = Cluster(deadline=600)
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        restarted = {"kubectl.kubernetes.io/restartedAt": "2026-01-05T12:01:00Z"}
        cluster.change(key, lambda new: new["spec"]["template"]["metadata"]["annotations"].update(restarted))
        cluster.passes(600)
        cluster.settle()
        pins = json.loads(cluster.template(key)[f"{PREFIX}/pinned"])
        assert (pins["restartedAt"], pins["models"][0]["version"]) == ("2026-01-05T12:01:00Z", "1.2.3")


class TestPersons:
    @pytest.mark.parametrize("is_available", [True, False])
    def test_a_version_that_somebody_undoes_is_not_rolled_out_again(self, is_available: bool) -> None:
        cluster = Cluster()
        key = cluster.add(kind="StatefulSet")
        cluster.moves("2.0.0")
        cluster.settle()
        if is_available:
            cluster.becomes_available(key)
            cluster.settle()
        cluster.set_pin(key, pin("1.2.3"))
        cluster.becomes_available(key)
        assert cluster.settle() == {"undone": 1}
        assert cluster.version(key) == "1.2.3"
        assert cluster.record(key)["state"] == "undone"
        assert reasons(cluster)[-1] == "RolloutUndone"
        cluster.passes(3600)
        assert cluster.settle() == {"undone": 1}

    def test_a_record_that_comes_back_with_an_undone_version_is_not_of_a_rollout_under_way(self) -> None:
        """As by `kubectl rollout undo` of a Deployment, back to what the controller has undone."""
        cluster = Cluster(deadline=600)
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        annotations = dict(cluster.objects[key]["metadata"]["annotations"])
        cluster.passes(600)
        cluster.settle()
        cluster.becomes_available(key)
        cluster.settle()
        cluster.change(key, lambda new: new["metadata"].update(annotations=annotations))
        cluster.set_pin(key, pin("2.0.0"))
        cluster.passes(600)
        assert cluster.settle() == {"current": 1}
        assert cluster.version(key) == "2.0.0"
        assert reasons(cluster) == ["RolloutStarted", "RolloutUndone"]

    @pytest.mark.parametrize("is_rolled_out", [True, False])
    def test_nor_if_the_annotations_of_then_come_back_too(self, is_rolled_out: bool) -> None:
        """As by `kubectl rollout undo` of a Deployment, which has the annotations of the earlier ReplicaSet."""
        cluster = Cluster()
        key = cluster.add()
        cluster.settle()
        if is_rolled_out:
            cluster.moves("1.3.0")
            cluster.settle()
        earlier = json.dumps(cluster.record(key))
        before = cluster.template(key)[f"{PREFIX}/pinned"]
        if is_rolled_out:
            cluster.becomes_available(key)
            cluster.settle()
            cluster.passes(5)
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_available(key)
        cluster.settle()
        cluster.passes(24 * 3600)
        annotations = {f"{PREFIX}/rollout": earlier} if is_rolled_out else {}
        cluster.change(key, lambda new: new["metadata"].update(annotations=annotations))
        cluster.set_pin(key, before)
        assert cluster.settle() == {"undone": 1}
        cluster.becomes_available(key)
        assert cluster.settle() == {"undone": 1}
        assert cluster.template(key)[f"{PREFIX}/pinned"] == before

    def test_a_version_that_a_restart_chose_and_somebody_undoes_is_not_rolled_out_either(self) -> None:
        cluster = Cluster()
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.set_pin(key, pin("2.0.0"))  # as the webhook does at a restart
        cluster.becomes_available(key)
        assert cluster.settle() == {"current": 1}
        cluster.set_pin(key, pin("1.2.3"))
        cluster.becomes_available(key)
        assert cluster.settle() == {"undone": 1}

    def test_a_restart_goes_on_after_an_undo(self) -> None:
        cluster = Cluster(deadline=600)
        key = cluster.add()
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.passes(600)
        cluster.settle()
        cluster.set_pin(key, pin("2.0.0"))
        cluster.becomes_available(key)
        assert cluster.settle() == {"current": 1}
        cluster.moves("3.0.0")
        cluster.passes(60)
        assert cluster.settle() == {"progressing": 1}


class TestBlocked:
    @pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
    def test_on_delete_is_told_once(self, kind: str) -> None:
        cluster = Cluster()
        key = cluster.add(kind=kind, spec={"updateStrategy": {"type": "OnDelete"}})
        assert cluster.settle() == {"current": 1}
        cluster.moves("2.0.0")
        assert cluster.settle() == {"blocked": 1}
        (event,) = cluster.events
        assert (event.type, event.reason) == ("Warning", "RolloutBlocked")
        assert "OnDelete" in event.message
        cluster.change(key, lambda new: new["spec"].update(updateStrategy={"type": "RollingUpdate"}))
        cluster.becomes_available(key)
        assert cluster.settle() == {"progressing": 1}

    def test_what_is_not_pinned(self) -> None:
        cluster = Cluster()
        key = cluster.add(pinned="")
        assert cluster.settle() == {"blocked": 1}
        assert "restart it once" in cluster.record(key)["reason"]
        cluster.set_pin(key, pin("1.2.3"))
        cluster.becomes_available(key)
        assert cluster.settle() == {"current": 1}
        assert cluster.record(key) == {}

    def test_invalid_annotations(self) -> None:
        cluster = Cluster()
        cluster.add(follow="yes")
        assert cluster.settle() == {"blocked": 1}
        assert 'write "true", "canary" or "false"' in cluster.events[0].message

    def test_a_reference_whose_meaning_is_unknown_without_an_event(self) -> None:
        cluster = Cluster()
        cluster.add()
        cluster.moves("? S3 does not answer")
        assert cluster.settle() == {"blocked": 1}
        assert cluster.events == []


class TestCanaries:
    def test_they_are_first_and_the_others_follow_after_a_pause(self) -> None:
        cluster = Cluster(pause=60, maxConcurrent=10)
        canary, other = cluster.add("z-canary", follow="canary"), cluster.add("app")
        elsewhere = cluster.add("app", namespace="elsewhere")
        cluster.moves("2.0.0")
        assert cluster.settle() == {"progressing": 2, "waiting": 1}
        assert [cluster.version(key) for key in (canary, other, elsewhere)] == ["2.0.0", "1.2.3", "2.0.0"]
        cluster.becomes_available(canary)
        cluster.settle()
        cluster.passes(59)
        assert cluster.settle() == {"progressing": 1, "current": 1, "waiting": 1}
        cluster.passes(1)
        assert cluster.settle() == {"progressing": 2, "current": 1}

    def test_a_canary_that_was_undone_blocks_the_others(self) -> None:
        cluster = Cluster(deadline=600)
        canary, other = cluster.add("canary", follow="canary"), cluster.add("app")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.passes(600)
        cluster.settle()
        cluster.becomes_available(canary)
        cluster.passes(600)
        assert cluster.settle() == {"undone": 1, "blocked": 1}
        assert cluster.decide().problems == (
            "Deployment apps/app is blocked: Deployment apps/canary has another version",
        )
        assert cluster.version(other) == "1.2.3"
        cluster.moves("2.0.1")
        assert cluster.settle() == {"progressing": 1, "waiting": 1}

    def test_a_canary_that_fails_later_holds_the_others(self) -> None:
        cluster = Cluster()
        canary, _ = cluster.add("canary", follow="canary"), cluster.add("app")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_available(canary)
        cluster.round()
        cluster.becomes_unavailable(canary)
        cluster.passes(60)
        assert cluster.settle() == {"current": 1, "waiting": 1}

    def test_one_of_another_reference_does_not_matter(self) -> None:
        cluster = Cluster(maxConcurrent=2)
        cluster.add("canary", follow="canary", version="^1", pinned=pin("1.2.3", "^1"))
        cluster.add("app")
        cluster.meanings["my-model", "^1"] = "1.2.3"
        cluster.moves("2.0.0")
        assert cluster.settle() == {"current": 1, "progressing": 1}

    def test_shares_and_replicas_are_not_touched(self) -> None:
        cluster = Cluster()
        strategy = {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}
        key = cluster.add(kind="Rollout", follow="canary", spec={"strategy": strategy})
        cluster.moves("2.0.0")
        cluster.settle()
        spec = cluster.objects[key]["spec"]
        assert (spec["replicas"], spec["strategy"]) == (2, strategy)


class TestArgo:
    def test_a_step_may_take_longer_than_the_deadline(self) -> None:
        cluster = Cluster(deadline=600)
        key = cluster.add(kind="Rollout")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_unavailable(key, phase="Paused", message="CanaryPauseStep")
        cluster.passes(24 * 3600)
        assert cluster.settle() == {"progressing": 1}
        cluster.becomes_available(key)
        assert cluster.settle() == {"current": 1}

    @pytest.mark.parametrize("status", [{"phase": "Degraded"}, {"abort": True}])
    def test_an_abort_is_a_failure(self, status: dict[str, Any]) -> None:
        cluster = Cluster()
        key = cluster.add(kind="Rollout")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_unavailable(key, **status, message="RolloutAborted: the error rate is 5 %")
        assert cluster.settle() == {"undone": 1}
        assert cluster.version(key) == "1.2.3"
        assert cluster.events[-1].message.endswith("RolloutAborted: the error rate is 5 %")


def test_a_partition_keeps_pods_and_the_rollout_is_done_without_them() -> None:
    cluster = Cluster()
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    key = cluster.add(kind="StatefulSet", spec={"updateStrategy": rolling})
    cluster.moves("2.0.0")
    cluster.settle()
    cluster.becomes_unavailable(key, updatedReplicas=1, availableReplicas=2)
    assert cluster.settle() == {"current": 1}


def test_what_a_workload_waits_for_is_told() -> None:
    cluster = Cluster(maintenance=[{"start": "22:00", "duration": "8h"}])
    paused, asleep = cluster.add("a", spec={"paused": True}), cluster.add("b")
    cluster.moves("2.0.0")
    cluster.settle()
    assert cluster.decide().problems == (
        "Deployment apps/a is waiting: it is paused",
        "Deployment apps/b is waiting: no maintenance window is open",
    )
    assert cluster.version(paused) == cluster.version(asleep) == "1.2.3"


def test_annotations_of_a_template_that_are_no_text_are_ignored() -> None:
    """The API server does not check the template of an Argo Rollout."""
    cluster = Cluster()
    key = cluster.add(kind="Rollout")
    cluster.template(key)["number"] = 1  # type: ignore[assignment]
    assert cluster.settle() == {"current": 1}
    cluster.objects[key]["spec"]["template"]["metadata"]["annotations"] = []
    assert cluster.workload(key).template_annotations == {}


def test_a_workload_that_is_being_deleted_is_left_alone() -> None:
    cluster = Cluster()
    key = cluster.add()
    cluster.moves("2.0.0")
    cluster.change(key, lambda new: new["metadata"].update(deletionTimestamp="2026-01-05T12:00:00Z"))
    assert cluster.settle() == {}


def test_a_decision_from_an_old_observation_changes_nothing() -> None:
    cluster = Cluster()
    key = cluster.add()
    cluster.settle()
    cluster.moves("2.0.0")
    (group,) = cluster.decide().steps
    cluster.becomes_unavailable(key)
    assert isinstance(group[0], Rewrite)
    assert not cluster.take(group[0])


def test_the_event_follows_what_it_is_about() -> None:
    cluster = Cluster()
    cluster.add()
    cluster.moves("2.0.0")
    cluster.now = NOON + timedelta(seconds=0.7)
    (group,) = cluster.decide().steps
    assert [type(step) for step in group] == [Rewrite, Emit]
