"""Rollouts are undone: by the controller, by persons, or because Argo has aborted them."""

import json
from typing import Any

import pytest

from tests.controller.following import PREFIX, ROLLED_OUT, Cluster, pin


@pytest.mark.parametrize("kind", ROLLED_OUT)
def test_after_the_deadline_the_earlier_pin_is_back_and_the_version_is_not_tried_again(kind: str) -> None:
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
    assert event.message.startswith("my-model @champion from 1.2.3 to 2.0.0 is undone: not available within 0:10:00: ")
    cluster.becomes_available(key)
    cluster.passes(10 * 600)
    assert cluster.settle() == {"undone": 1}
    assert cluster.reasons() == ["RolloutStarted", "RolloutUndone"]


def test_the_event_has_the_message_of_the_deployment() -> None:
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


def test_of_several_models_only_what_was_not_undone_is_tried() -> None:
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


def test_a_version_is_tried_again_after_the_reference_has_meant_another_one() -> None:
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


def test_the_next_version_is_tried() -> None:
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


def test_an_alias_that_moves_back_undoes_a_rollout_under_way_at_once() -> None:
    cluster = Cluster()
    key = cluster.add()
    cluster.moves("2.0.0")
    cluster.settle()
    cluster.moves("1.2.3")
    assert cluster.settle() == {"current": 1}
    assert cluster.version(key) == "1.2.3"
    assert cluster.events[-1].message.endswith("the reference means the earlier version again")


def test_what_undid_a_restart_in_between_keeps_the_earlier_version() -> None:
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
        assert cluster.reasons()[-1] == "RolloutUndone"
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
        assert cluster.reasons() == ["RolloutStarted", "RolloutUndone"]

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

    @pytest.mark.parametrize("change", [{"replicas": 3}, {"paused": False}])
    def test_a_change_of_the_spec_at_a_long_step_does_not_undo_it(self, change: dict[str, Any]) -> None:
        """Its status is of the earlier spec until Argo has seen the change."""
        cluster = Cluster(deadline=600)
        key = cluster.add(kind="Rollout")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_unavailable(key, phase="Paused", message="CanaryPauseStep")
        cluster.passes(24 * 3600)
        cluster.change(key, lambda new: new["spec"].update(change))
        assert cluster.settle() == {"progressing": 1}
        assert cluster.version(key) == "2.0.0"

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
