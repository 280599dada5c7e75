"""The annotation `follow`: the webhook labels the workload for the controller, and keeps the pins that that writes."""

import copy
from typing import Any

import msgspec
import pytest

from tests.admission.conftest import PREFIX
from tests.admission.test_objects import Cluster as OfObjects
from tests.admission.test_objects import of, template
from tests.admission.test_pinning import GROUPS, Cluster, asking, edited, pins, template_of, workload
from tests.controller.following import Cluster as Followers
from webhook.annotations.parsing import parse
from webhook.controller.followers import follower_of
from webhook.controller.workloads import Deployment
from webhook.model.refusals import InvalidAnnotation

JSON = dict[str, Any]
FOLLOW = f"{PREFIX}/follow"
LABEL = {FOLLOW: "true"}


def following(follow: str = "true", **annotations: str) -> JSON:
    return asking(follow=follow, **annotations)


@pytest.mark.parametrize("follow", ["true", "canary"])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_that_follows_is_labelled(kind: str, follow: str) -> None:
    stored = Cluster().store(asking(kind, follow=follow))
    assert stored["metadata"]["labels"] == LABEL
    assert pins(stored)[0]["version"] == "1.2.3"


def test_other_labels_stay_and_so_does_the_label_of_somebody_who_has_stopped_the_controller() -> None:
    cluster, new = Cluster(), following()
    new["metadata"]["labels"] = {"app": "a/b~c"}
    assert cluster.store(new)["metadata"]["labels"] == {"app": "a/b~c", **LABEL}
    new["metadata"]["labels"] = {FOLLOW: "false"}
    assert cluster.store(new)["metadata"]["labels"] == {FOLLOW: "false"}


def test_it_is_labelled_when_its_template_is_unchanged() -> None:
    cluster, old = Cluster(), following()
    result = cluster.decide({**old, "spec": {**old["spec"], "replicas": 3}}, old)
    assert (result.decision, result.reason) == ("pinned", "Followed")
    assert [each["path"] for each in result.operations] == ["/metadata/labels"]


def test_it_is_labelled_when_its_pods_would_be_refused() -> None:
    stored = Cluster().store(following(version="@nobody"))
    assert stored["metadata"]["labels"] == LABEL


def test_an_exact_version_is_a_warning_that_its_pods_get_too() -> None:
    result = Cluster().decide(following(version="1.2.3"))
    (warning,) = result.warnings
    assert warning.startswith(f"{FOLLOW} does nothing: an exact version never changes")


@pytest.mark.parametrize("annotations", [{"follow": "false"}, {}, {"follow": "true", "inject": "false"}])
def test_others_are_not_labelled(annotations: dict[str, str]) -> None:
    assert "labels" not in Cluster().store(asking(**annotations))["metadata"]


def test_without_a_model_it_does_nothing_and_says_so() -> None:
    result = Cluster().decide(workload(follow="true"))
    assert result.operations == ()
    assert result.warnings == (f"{FOLLOW}: without {PREFIX}/model nothing is injected",)


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_a_kind_that_is_not_rolled_out_is_a_warning(kind: str) -> None:
    result = Cluster().decide(asking(kind, follow="true"))
    assert f"{FOLLOW} does nothing on a {kind}: a {kind} is not rolled out" in result.warnings
    assert all("/metadata/labels" not in each["path"] for each in result.operations)


def test_an_argo_rollout_is_labelled_and_other_objects_are_not() -> None:
    cluster = OfObjects()
    asked = template(model="my-model", version="@champion", follow="canary")
    rollout = of("argoproj.io/v1alpha1", "Rollout", {"template": asked})
    assert cluster.store(rollout)["metadata"]["labels"] == LABEL
    other = of("serving.knative.dev/v1", "Service", {"template": asked})
    assert "labels" not in cluster.store(other)["metadata"]


@pytest.mark.parametrize("value", ["yes", "True", "1", ""])
def test_an_invalid_value_names_those_that_are_allowed(value: str) -> None:
    given = {f"{PREFIX}/model": "my-model", f"{PREFIX}/version": "^1", FOLLOW: value}
    with pytest.raises(InvalidAnnotation, match='write "true", "canary" or "false"'):
        parse(given, Cluster().settings)


def test_an_entry_of_models_cannot_have_it() -> None:
    with pytest.raises(InvalidAnnotation, match="follow"):
        parse({f"{PREFIX}/models": "[{model: my-model, version: ^1, follow: 'true'}]"}, Cluster().settings)


class TestWithTheController:
    """The webhook sees what the controller writes, as an update of the workload."""

    def rewritten(self, cluster: Cluster, stored: JSON, version: str) -> JSON:
        """What is stored after the controller has rolled out a version."""
        metadata = {**stored["metadata"], "uid": "1", "resourceVersion": "1", "namespace": "apps"}
        status = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
        observed = msgspec.convert({**stored, "metadata": metadata, "status": status}, Deployment)
        followers = Followers()
        followers.moves(version)
        found = follower_of(observed, followers.meaning, cluster.settings)
        assert found
        new = copy.deepcopy(stored)
        template_of(new)["metadata"]["annotations"][f"{PREFIX}/pinned"] = found.wanted_pins().encode()
        return cluster.store(new, stored)

    def test_the_pin_that_the_controller_writes_stays(self) -> None:
        cluster = Cluster()
        stored = cluster.store(following())
        rolled = self.rewritten(cluster, stored, "2.0.0")  # although the alias means 1.2.3 yet for this replica
        assert cluster.pod(rolled) == "2.0.0"
        assert cluster.pod(cluster.store(edited(rolled, timeout="1h"), rolled)) == "2.0.0"
        assert cluster.pod(cluster.store(following(), rolled)) == "2.0.0"  # as `kubectl replace` does

    def test_so_does_the_earlier_one_that_it_goes_back_to(self) -> None:
        cluster = Cluster()
        stored = cluster.store(following())
        rolled = self.rewritten(cluster, stored, "2.0.0")
        cluster.champion("2.0.0")
        assert cluster.store({**rolled, "spec": stored["spec"]}, rolled)["spec"] == stored["spec"]

    def test_and_after_a_restart_in_between(self) -> None:
        cluster = Cluster()
        stored = cluster.store(following())
        cluster.champion("2.0.0")
        restarted = copy.deepcopy(stored)
        template_of(restarted)["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"
        restarted = cluster.store(restarted, stored)
        assert cluster.pod(restarted) == "2.0.0"
        rolled = self.rewritten(cluster, restarted, "3.0.0")
        assert cluster.pod(rolled) == "3.0.0"
        assert cluster.pod(self.rewritten(cluster, rolled, "1.2.3")) == "1.2.3"

    def test_of_a_new_version_the_webhook_chooses_the_strategy(self) -> None:
        cluster = Cluster()
        stored = cluster.store(following(strategy="shared-volume, s3-init"))
        (pin,) = pins(self.rewritten(cluster, stored, "2.0.0"))
        assert (pin["version"], pin["strategy"]) == ("2.0.0", "shared-volume")


def test_every_kind_with_a_template_is_either_labelled_or_warned_about() -> None:
    for kind in GROUPS:
        result = Cluster().decide(asking(kind, follow="true"))
        is_labelled = any(each["path"] == "/metadata/labels" for each in result.operations)
        assert is_labelled != any("is not rolled out" in each for each in result.warnings)
