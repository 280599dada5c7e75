"""Workloads follow their references."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.controller.following import NOON, PREFIX, ROLLED_OUT, Cluster, pin
from webhook.controller.steps import Emit, Rewrite


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
    assert started.message == "my-model @champion from 1.2.3 to 2.0.0: the reference means a different version now"
    record = cluster.record(key)
    assert (record["state"], record["at"]) == ("progressing", "2026-01-05T12:00:00Z")
    assert record["models"] == [{"model": "my-model", "version": "@champion", "from": "1.2.3", "to": "2.0.0"}]
    cluster.becomes_available(key)
    assert cluster.settle() == {"current": 1}
    assert cluster.events[-1].message == "my-model @champion from 1.2.3 to 2.0.0"
    assert cluster.reasons() == ["RolloutStarted", "RolloutDone"]
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
        "Deployment apps/a is held: it is paused",
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
