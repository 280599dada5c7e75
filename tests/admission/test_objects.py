"""Objects of kinds that the platform names: every pod of an object gets the same version, whichever template it has."""

import copy
import json
from typing import Any

import pytest
from jsonpointer import resolve_pointer

from tests.admission.conftest import PREFIX, AliasedCatalog
from tests.support.known import Known
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.admission.objects import ObjectChange, pin_object
from webhook.admission.result import AdmissionResult
from webhook.catalog.resolution import LookupRequired, VersionKey
from webhook.kubernetes.operators import SOURCES
from webhook.kubernetes.templates import templates
from webhook.kubernetes.unstructured import Unstructured

JSON = dict[str, Any]
MODELS = {"my-model": ("1.2.3", "2.0.0", "3.0.0")}
RESTARTED = "kubectl.kubernetes.io/restartedAt"
PINNED = f"{PREFIX}/pinned"
CONTAINERS = [{"name": "app", "image": "app:1"}]
CHAMPION = {"model": "my-model", "version": "@champion"}


def annotations(**values: str) -> dict[str, str]:
    return {f"{PREFIX}/{name}": value for name, value in values.items()}


def template(**values: str) -> JSON:
    return {"metadata": {"annotations": annotations(**values)}, "spec": {"containers": copy.deepcopy(CONTAINERS)}}


def of(group_version: str, kind: str, spec: JSON, **on_object: str) -> JSON:
    metadata = {"name": "app", "annotations": annotations(**on_object)}
    return {"apiVersion": group_version, "kind": kind, "metadata": metadata, "spec": spec}


def ray(head: JSON, *workers: JSON) -> JSON:
    groups = [{"groupName": str(index), "template": worker} for index, worker in enumerate(workers)]
    return of("ray.io/v1", "RayCluster", {"headGroupSpec": {"template": head}, "workerGroupSpecs": groups})


def leader_worker_set(leader: JSON, worker: JSON) -> JSON:
    groups = {"size": 4, "leaderTemplate": leader, "workerTemplate": worker}
    return of("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", {"replicas": 2, "leaderWorkerTemplate": groups})


HEAD, WORKER = "/spec/headGroupSpec/template", "/spec/workerGroupSpecs/0/template"


class Cluster(AliasedCatalog):
    """An API server with this webhook, as far as one object goes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(MODELS, **settings)

    def decide(self, new: JSON, old: JSON | None = None) -> AdmissionResult:
        change = ObjectChange(Unstructured(new), Unstructured(old) if old else None)
        return pin_object(change, "apps", self.settings, self.catalog)

    def store(self, new: JSON, old: JSON | None = None) -> JSON:
        result = self.decide(new, old)
        assert result.decision != "refused"
        return apply(new, result.operations)

    def versions(self, owner: JSON) -> list[str]:
        """The versions that the pods of each template get."""
        outcomes = [
            inject(each.decode(), "apps", self.settings, self.catalog) for each in templates(Unstructured(owner))
        ]
        return [model.version for outcome in outcomes for model in outcome.models]


def changed(stored: JSON, path: str, **values: str) -> JSON:
    """The object with annotations written to the template at a path. `restarted` is the time of a restart."""
    new = copy.deepcopy(stored)
    found = resolve_pointer(new, path)["metadata"]["annotations"]
    if "restarted" in values:
        found[RESTARTED] = values.pop("restarted")
    found.update(annotations(**values))
    return new


def without_pins(owner: Any) -> Any:
    """The object as its author has it."""
    if isinstance(owner, dict):
        return {key: without_pins(value) for key, value in owner.items() if key != PINNED}
    return [without_pins(each) for each in owner] if isinstance(owner, list) else owner


@pytest.mark.parametrize(
    "owner",
    [
        leader_worker_set(template(**CHAMPION), template(**CHAMPION)),
        ray(template(**CHAMPION), template(**CHAMPION), template()),
        of("argoproj.io/v1alpha1", "Rollout", {"replicas": 4, "template": template(**CHAMPION)}),
        of(
            "jobset.x-k8s.io/v1alpha2",
            "JobSet",
            {"replicatedJobs": [{"name": "w", "template": {"spec": {"template": template(**CHAMPION)}}}]},
        ),
        of("serving.knative.dev/v1", "Service", {"template": template(**CHAMPION)}),
        of(
            "kubeflow.org/v1",
            "PyTorchJob",
            {"pytorchReplicaSpecs": {"Master": {"template": template(**CHAMPION)}, "a/b": {"template": template()}}},
        ),
        of(
            "serving.kserve.io/v1beta1",
            "InferenceService",
            {"predictor": {"containers": CONTAINERS}, "transformer": {"containers": CONTAINERS}},
            **CHAMPION,
        ),
        of("kubeflow.org/v1", "Notebook", {"template": {"spec": {"containers": CONTAINERS}}}, **CHAMPION),
        of(
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            {"driver": {"annotations": annotations(**CHAMPION)}, "executor": {"annotations": annotations(**CHAMPION)}},
        ),
        of("example.com/v1", "Unheard", {"pods": {"annotations": annotations(**CHAMPION), "containers": CONTAINERS}}),
    ],
    ids=lambda owner: owner["kind"],
)
def test_every_template_that_asks_is_pinned_and_keeps_its_version(owner: JSON) -> None:
    cluster = Cluster()
    before = cluster.versions(owner)
    result = cluster.decide(owner)
    assert (result.decision, result.reason, result.warnings) == ("pinned", "Pinned", ())
    assert all(operation["path"].endswith(f"/annotations/{PREFIX}~1pinned") for operation in result.operations)
    stored = apply(owner, result.operations)
    cluster.champion("2.0.0")
    assert cluster.versions(stored) == before == ["1.2.3"] * len(before)
    assert set(cluster.versions(owner)) == {"2.0.0"}
    assert cluster.decide(stored, stored).operations == ()
    assert cluster.store(owner, stored) == stored  # `kubectl replace`, and a patch that replaces a whole list


def test_a_pin_that_templates_share_is_written_once() -> None:
    spec = {name: {"containers": CONTAINERS} for name in ("predictor", "transformer", "explainer")}
    result = Cluster().decide(of("serving.kserve.io/v1beta1", "InferenceService", spec, **CHAMPION))
    (operation,) = result.operations
    assert operation["path"] == f"/metadata/annotations/{PREFIX}~1pinned"
    (model,) = result.models
    assert model.version == "1.2.3"


def test_a_template_that_is_added_gets_the_version_of_the_others() -> None:
    cluster = Cluster()
    stored = cluster.store(ray(template(**CHAMPION)))
    cluster.champion("2.0.0")
    grown = copy.deepcopy(stored)
    grown["spec"]["workerGroupSpecs"] = [{"groupName": "gpu", "template": template(**CHAMPION)}]
    assert cluster.versions(cluster.store(grown, stored)) == ["1.2.3", "1.2.3"]


def test_a_template_that_comes_to_ask_for_what_another_asks_for_gets_its_version() -> None:
    cluster = Cluster()
    stored = cluster.store(ray(template(**CHAMPION), template(model="my-model", version="^2")))
    cluster.champion("3.0.0")
    assert cluster.versions(cluster.store(changed(stored, WORKER, version="@champion"), stored)) == ["1.2.3", "1.2.3"]


def test_what_is_inserted_before_a_template_does_not_move_its_version() -> None:
    """A merge patch replaces the whole list, so the pins in it are gone, and the paths are those of others."""
    cluster = Cluster()
    stored = cluster.store(ray(template(), template(**CHAMPION)))
    cluster.champion("2.0.0")
    exact = template(model="my-model", version="3.0.0")
    inserted = ray(template(), exact, template(**CHAMPION))
    assert cluster.versions(cluster.store(inserted, stored)) == ["3.0.0", "1.2.3"]


def test_what_is_removed_before_a_template_does_not_move_its_version() -> None:
    cluster = Cluster()
    stored = cluster.store(ray(template(), template(model="my-model", version="3.0.0"), template(**CHAMPION)))
    cluster.champion("2.0.0")
    assert cluster.versions(cluster.store(ray(template(), template(**CHAMPION)), stored)) == ["1.2.3"]


def test_a_pin_that_its_template_no_longer_asks_for_does_not_hold_up_a_restart_of_another() -> None:
    cluster = Cluster()
    stored = cluster.store(ray(template(**CHAMPION), template(**CHAMPION)))
    cluster.champion("2.0.0")
    new = changed(changed(stored, HEAD, version="3.0.0"), WORKER, restarted="2026-01-01T00:00:00Z")
    assert cluster.versions(cluster.store(new, stored)) == ["3.0.0", "2.0.0"]


def test_a_rollback_of_all_templates_brings_back_the_version_of_then() -> None:
    cluster = Cluster()
    first = cluster.store(ray(template(**CHAMPION), template(**CHAMPION)))
    cluster.champion("2.0.0")
    restarted = first
    for path in (HEAD, WORKER):
        restarted = changed(restarted, path, restarted="2026-01-01T00:00:00Z")
    second = cluster.store(restarted, first)
    assert cluster.versions(cluster.store(first, second)) == ["1.2.3", "1.2.3"]


def test_a_restart_of_one_template_stays_with_the_others() -> None:
    cluster = Cluster()
    stored = cluster.store(ray(template(**CHAMPION), template(**CHAMPION)))
    cluster.champion("2.0.0")
    restarted = changed(stored, WORKER, restarted="2026-01-01T00:00:00Z")
    assert cluster.versions(cluster.store(restarted, stored)) == ["1.2.3", "1.2.3"]


def test_a_restart_of_all_templates_chooses_anew() -> None:
    cluster = Cluster()
    stored = cluster.store(ray(template(**CHAMPION), template(**CHAMPION), template()))
    cluster.champion("2.0.0")
    restarted = stored
    for path in (HEAD, WORKER):
        restarted = changed(restarted, path, restarted="2026-01-01T00:00:00Z")
    again = cluster.store(restarted, stored)
    assert cluster.versions(again) == ["2.0.0", "2.0.0"]
    cluster.champion("3.0.0")
    assert cluster.versions(cluster.store(without_pins(again), again)) == ["2.0.0", "2.0.0"]


def test_different_references_are_chosen_each_for_itself() -> None:
    owner = ray(template(**CHAMPION), template(model="my-model", version="^2"), template(model="my-model"))
    cluster = Cluster(defaults={"version": "latest"})
    assert cluster.versions(cluster.store(owner)) == ["1.2.3", "2.0.0", "3.0.0"]


def test_scaling_leaves_an_object_from_before_the_installation_alone() -> None:
    stored = leader_worker_set(template(**CHAMPION), template(**CHAMPION))
    scaled = {**stored, "spec": {**stored["spec"], "replicas": 3}}
    result = Cluster().decide(scaled, stored)
    assert (result.decision, result.reason, result.operations) == ("unchanged", "TemplateUnchanged", ())


def test_an_object_that_asks_for_nothing_is_left_alone() -> None:
    result = Cluster().decide(ray(template(), template()))
    assert (result.decision, result.reason, result.operations, result.warnings) == ("skipped", "NotAnnotated", (), ())


def test_annotations_where_no_pod_gets_them_are_told_of() -> None:
    (warning,) = Cluster().decide({**ray(template()), **of("ray.io/v1", "RayCluster", {}, **CHAMPION)}).warnings
    assert warning == (
        f"{PREFIX}/model does nothing on a RayCluster, unless the controller of RayCluster copies it: no pod template "
        "was found there; move it to one"
    )
    misplaced = ray(template())
    misplaced["metadata"]["annotations"] = annotations(**CHAMPION)
    (warning,) = Cluster().decide(misplaced).warnings
    assert warning.endswith("write it to spec.headGroupSpec.template.metadata.annotations")


def test_a_refusal_of_one_templates_pods_is_foretold_and_the_others_are_pinned() -> None:
    result = Cluster().decide(ray(template(**CHAMPION), template(model="my-model", version="@nobody")))
    (warning,) = result.warnings
    assert warning.startswith("pods of this RayCluster will be refused: ")
    assert result.foretold == (warning,)
    (operation,) = result.operations
    assert operation["path"].startswith(HEAD)


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": {"containers": [{"name": "app", "image": "i", "env": "none"}]}},
        {"spec": {"containers": CONTAINERS, "volumes": {}}},
        {"metadata": {"annotations": {f"{PREFIX}/model": "my-model", f"{PREFIX}/version": 1}}},
    ],
)
def test_a_template_that_is_no_pod_is_told_of_and_the_others_are_pinned(broken: JSON) -> None:
    result = Cluster().decide(ray(template(**CHAMPION), {**template(**CHAMPION), **broken}))
    assert result.decision == "pinned"
    (warning,) = result.warnings
    assert warning.startswith(f"no model is injected: {WORKER} is not a Pod: ")


def test_a_null_is_absent() -> None:
    nulls = {"spec": {"containers": CONTAINERS, "securityContext": None, "volumes": None, "nodeSelector": {"a": None}}}
    assert Cluster().decide(ray({**template(**CHAMPION), **nulls})).decision == "pinned"


ODD: list[Any] = [None, 1, "x", [], {}, [1], {"template": 1}, {"template": {"spec": {"containers": [None]}}}]


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_no_odd_object_is_refused_or_a_fault(odd: Any) -> None:
    for group, kind in (*SOURCES, ("example.com", "Unheard")):
        for field in ("spec", "metadata", "kind", "apiVersion"):
            owner = {**of(f"{group}/v1", kind, {"template": template(**CHAMPION)}, **CHAMPION), field: odd}
            for old in (None, of(f"{group}/v1", kind, {"template": template()}), {"spec": odd}):
                assert Cluster().decide(owner, old).decision in ("pinned", "unchanged", "skipped")


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a": [0] * 20_001}, "more than 20000"),
        ({"a": deep(65)}, "more than 64 levels"),
        ({"a": deep(5000)}, "more than 64 levels"),
        ({"a": [{"template": template(**CHAMPION)}] * 65}, "more than 64 pod templates"),
        (
            {"a": [{"template": {**template(**CHAMPION), "spec": {"containers": CONTAINERS * 40}}}] * 51},
            "at most 2000",
        ),
    ],
)
def test_what_is_too_large_is_told_of_and_left_alone(spec: JSON, message: str) -> None:
    owner = of("example.com/v1", "Huge", {"template": template(**CHAMPION), **spec})
    result = Cluster().decide(owner)
    assert (result.decision, result.reason, result.operations) == ("unchanged", "TooLarge", ())
    (warning,) = result.warnings
    assert warning.startswith("no version is pinned: ")
    assert message in warning


def test_an_update_from_what_was_too_large_is_left_alone() -> None:
    small, large = (of("example.com/v1", "Huge", {"template": template(**CHAMPION), "a": deep(n)}) for n in (1, 65))
    assert Cluster().decide(small, large).reason == "TooLarge"


def test_warnings_are_bounded() -> None:
    places = [{"annotations": annotations(**CHAMPION)} for _ in range(1000)]
    assert len(Cluster().decide(of("example.com/v1", "Many", {"a": places})).warnings) == 16


class Forgetful(Known):
    """A catalog that knows no version before it was looked up."""

    def resolve(self, request: Any) -> Any:
        raise LookupRequired([VersionKey("default", request.model, "")])


def test_all_templates_are_looked_up_at_once() -> None:
    cluster = Cluster()
    cluster.catalog = Forgetful(cluster.settings, MODELS, {})
    with pytest.raises(LookupRequired) as caught:
        cluster.decide(ray(template(model="a", version="latest"), *[template(model="b", version="latest")] * 2))
    assert [key.model for key in caught.value.keys] == ["a", "b"]
