"""What a strategy may ask of the pod, apart from volumes and init containers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from tests.admission.conftest import JSON, Injector, annotated, asking
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import Location, Plan, Strategy

NODES = {"models.example.com/my-model": "1.2.3"}
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
SAFE_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
TOLERATION = {"key": "models.example.com/baked", "operator": "Exists"}
NEEDS: Mapping[str, Any] = {
    "volumes": ({"name": "models", "hostPath": {"path": "/opt/models", "type": "Directory"}},),
    "init_containers": ({"name": "mount-models", "image": "mount", "args": ["run"], "restartPolicy": "Always"},),
    "node_selector": NODES,
    "preferred_node_labels": ("cached-0", "cached-1"),
    "tolerations": (TOLERATION,),
    "image_pull_secrets": ("registry",),
    "scheduling_gates": ("example.com/headroom",),
    "annotations": {"example.com/mounts": "models"},
    "warnings": ("hostPath volumes are not admitted in baseline namespaces",),
}
Planned = Callable[..., Injector]


def preferring(number: int) -> JSON:
    """A term of a node affinity: the label of NEEDS with this number."""
    expression = {"key": f"model-injector.io/cached-{number}", "operator": "In", "values": ["true"]}
    return {"weight": 10, "preference": {"matchExpressions": [expression]}}


def preferred(spec: JSON) -> list[JSON]:
    """The nodes that a pod prefers."""
    terms: list[JSON] = spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    return terms


SPREAD: JSON = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
ZONE: JSON = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}
IN_ZONE: JSON = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [ZONE]}}


def _given(plan: Plan, *_: object) -> Plan:
    return plan


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, configured: Callable[..., Injector]) -> Planned:
    """Gives an injector whose stub strategies return the given plans. A pod selects one by name."""

    def add(rules: Sequence[JSON] = (), **needs: Mapping[str, Any]) -> Injector:
        for name, parts in needs.items():
            plan = Plan((Location("models", name),), **parts)
            monkeypatch.setitem(STRATEGIES, name, Strategy(name=name, summary="", plan=partial(_given, plan)))
        return configured(defaults={"service_account": "reader"}, rules=rules)

    return add


def test_a_pod_gets_all_that_the_plan_asks_for(planned: Planned) -> None:
    pod = planned(baked=NEEDS)(asking(strategy="baked"))
    spec = pod["spec"]
    assert spec["nodeSelector"] == NODES
    assert spec["affinity"].keys() == {"nodeAffinity"}
    assert preferred(spec) == [preferring(0), preferring(1)]
    assert spec["tolerations"] == [TOLERATION]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["schedulingGates"] == [{"name": "example.com/headroom"}]
    assert spec["initContainers"] == list(NEEDS["init_containers"])
    assert pod["metadata"]["annotations"]["example.com/mounts"] == "models"


def test_the_pods_own_stay_beside_them(planned: Planned) -> None:
    own: JSON = {
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "own"}],
        "schedulingGates": [{"name": "own"}],
    }
    spec = planned(baked=NEEDS)(asking({"containers": [{"name": "app"}], **own}, strategy="baked"))["spec"]
    assert spec["nodeSelector"] == {"zone": "a", **NODES}
    assert spec["tolerations"] == [own["tolerations"][0], TOLERATION]
    assert [secret["name"] for secret in spec["imagePullSecrets"]] == ["own", "registry"]
    assert [gate["name"] for gate in spec["schedulingGates"]] == ["own", "example.com/headroom"]


@pytest.mark.parametrize(
    "own",
    [None, {}, {"nodeAffinity": None}, {"nodeAffinity": {}}, SPREAD, {**SPREAD, "nodeAffinity": IN_ZONE}],
)
def test_the_pods_own_affinity_stays(planned: Planned, own: JSON | None) -> None:
    spec = planned(baked=NEEDS)(asking({"affinity": own}, strategy="baked"))["spec"]
    assert preferred(spec) == [preferring(0), preferring(1)]
    own = own or {}
    assert spec["affinity"].keys() == own.keys() | {"nodeAffinity"}
    assert (own.get("nodeAffinity") or {}).items() <= spec["affinity"]["nodeAffinity"].items()
    assert spec["affinity"].get("podAntiAffinity") == own.get("podAntiAffinity")


def test_nodes_that_the_pod_prefers_already_are_not_added(planned: Planned) -> None:
    own = [{"weight": 50, "preference": ZONE}, {**preferring(1), "weight": 80}, {"weight": 1, "preference": {}}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": own}}
    spec = planned(baked=NEEDS)(asking({"affinity": affinity}, strategy="baked"))["spec"]
    assert preferred(spec) == [*own, preferring(0)]


def test_a_second_pass_adds_none_of_it_again(planned: Planned) -> None:
    injector = planned(baked=NEEDS)
    result = injector.decide(injector(asking(strategy="baked")))
    assert (result.decision, result.operations) == ("unchanged", ())
    assert result.warnings == NEEDS["warnings"]


def test_an_init_container_of_its_name_that_runs_something_else_is_refused(planned: Planned) -> None:
    spec = {
        "containers": [{"name": "app"}],
        "initContainers": [{"name": "mount-models", "args": ["something", "else"]}],
    }
    assert "container name mount-models is reserved" in planned(baked=NEEDS).refusal(asking(spec, strategy="baked"))


def test_a_pod_that_selects_other_nodes_is_refused(planned: Planned) -> None:
    spec = {"containers": [{"name": "app"}], "nodeSelector": {"models.example.com/my-model": "2.0.0"}}
    message = planned(baked=NEEDS).refusal(asking(spec, strategy="baked"))
    assert "nodeSelector asks for models.example.com/my-model=2.0.0" in message


def test_two_strategies_that_need_different_nodes_are_refused(planned: Planned) -> None:
    other = {"node_selector": {"models.example.com/my-model": "other"}, "volumes": NEEDS["volumes"]}
    models = "[{model: a, version: 1.0.0, strategy: baked}, {model: b, version: 1.0.0, strategy: other}]"
    assert "two models need models.example.com/my-model=1.2.3 and" in planned(baked=NEEDS, other=other).refusal(
        annotated(models=models)
    )


@pytest.mark.parametrize(("strategy", "account"), [("baked", None), ("s3-init", "reader")])
def test_only_a_strategy_that_needs_credentials_brings_the_default_account(
    planned: Planned, strategy: str, account: str | None
) -> None:
    pod = planned(baked=NEEDS)(asking(strategy=strategy))
    assert pod["spec"].get("serviceAccountName") == account


def test_a_rule_about_accounts_goes_by_the_account_that_each_strategy_brings(planned: Planned) -> None:
    injector = planned(baked=NEEDS, rules=[{"service_accounts": ["default"], "allow": False}])
    result = injector.decide(asking(strategy="baked, s3-init"))
    assert [model.strategy for model in result.models] == ["s3-init"]
    injector = planned(baked=NEEDS, rules=[{"service_accounts": ["reader"], "allow": False}])
    assert injector.decide(asking(strategy="baked")).decision == "injected"


def test_a_rule_holds_for_the_account_that_another_model_of_the_pod_brings(planned: Planned) -> None:
    injector = planned(baked=NEEDS, rules=[{"service_accounts": ["reader"], "models": ["a"], "allow": False}])
    models = "[{model: a, version: 1.0.0, strategy: baked}, {model: b, version: 1.0.0}]"
    assert "model a by baked as service account reader" in injector.refusal(annotated(models=models))


def test_what_two_strategies_both_need_is_added_once(planned: Planned) -> None:
    models = "[{model: a, version: 1.0.0, strategy: baked}, {model: b, version: 1.0.0, strategy: other}]"
    injector = planned(baked=NEEDS, other=NEEDS)
    asked = annotated(models=models)
    result = injector.decide(asked)
    spec = injector(asked)["spec"]
    for field in ("volumes", "initContainers", "tolerations", "imagePullSecrets", "schedulingGates"):
        assert len(spec[field]) == 1, field
    assert spec["nodeSelector"] == NODES
    assert preferred(spec) == [preferring(0), preferring(1)]
    assert result.warnings == NEEDS["warnings"]


def test_two_strategies_that_need_a_different_volume_of_one_name_are_refused(planned: Planned) -> None:
    other = {**NEEDS, "volumes": ({"name": "models", "persistentVolumeClaim": {"claimName": "models"}},)}
    models = "[{model: a, version: 1.0.0, strategy: baked}, {model: b, version: 1.0.0, strategy: other}]"
    message = planned(baked=NEEDS, other=other).refusal(annotated(models=models))
    assert "two models need a different models each" in message


def test_a_second_pass_knows_what_the_api_server_has_stored(planned: Planned) -> None:
    """It drops empty values, adds defaults, and writes quantities in its own way."""
    claim = {"claimName": "models", "readOnly": False}
    ephemeral = {"spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1024Mi"}}}}
    injector = planned(
        mounted={
            "volumes": (
                {"name": "mounted", "persistentVolumeClaim": claim},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": ephemeral}},
            ),
            "tolerations": ({"key": "models", "operator": "Equal", "value": ""},),
        }
    )
    stored = injector(asking(strategy="mounted"))
    del stored["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"]
    template = stored["spec"]["volumes"][1]["ephemeral"]["volumeClaimTemplate"]
    template["spec"]["resources"]["requests"]["storage"] = "1Gi"
    template["spec"]["volumeMode"] = "Filesystem"
    template["metadata"] = {"creationTimestamp": None}
    del stored["spec"]["tolerations"][0]["value"]
    assert injector.decide(stored).operations == ()


def test_a_sidecar_of_its_name_with_another_image_is_refused(planned: Planned) -> None:
    sidecar = {"name": "mount-models", "image": "mount", "restartPolicy": "Always"}
    injector = planned(baked={**NEEDS, "init_containers": (sidecar,)})
    assert injector.decide(injector(asking(strategy="baked"))).operations == ()
    spec = {"containers": [{"name": "app"}], "initContainers": [{**sidecar, "image": "other"}]}
    assert "container name mount-models is reserved" in injector.refusal(asking(spec, strategy="baked"))


def test_the_account_that_the_annotation_asks_for_is_always_used(planned: Planned) -> None:
    pod = planned(baked=NEEDS)(asking(strategy="baked", service_account="own"))
    assert pod["spec"]["serviceAccountName"] == "own"


@pytest.mark.parametrize(
    ("own", "listed"),
    [
        ({}, "models"),
        ({SAFE_VOLUMES: ""}, "models"),
        ({SAFE_VOLUMES: "tmp,cache"}, "tmp,cache,models"),
        ({SAFE_VOLUMES: "models,tmp"}, "models,tmp"),
        ({SAFE_TO_EVICT: "true"}, None),
        ({SAFE_TO_EVICT: "false", SAFE_VOLUMES: "tmp"}, "tmp"),
    ],
)
@pytest.mark.parametrize("source", [{"emptyDir": {}}, {"emptyDir": {"sizeLimit": "1Gi"}}, {"hostPath": {"path": "/m"}}])
def test_cluster_autoscaler_may_remove_the_node_of_a_pod_with_local_volumes(
    planned: Planned, source: JSON, own: Mapping[str, str], listed: str | None
) -> None:
    injector, pod = planned(local={"volumes": ({"name": "models", **source},)}), asking(strategy="local")
    pod["metadata"]["annotations"] |= own
    patched = injector(pod)
    assert patched["metadata"]["annotations"].get(SAFE_VOLUMES) == listed
    assert injector(patched) == patched


@pytest.mark.parametrize("source", [{"emptyDir": {"medium": "Memory"}}, {"image": {"reference": "m:1"}}])
def test_cluster_autoscaler_is_told_of_local_volumes_only(planned: Planned, source: JSON) -> None:
    pod = planned(other={"volumes": ({"name": "models", **source},)})(asking(strategy="other"))
    assert SAFE_VOLUMES not in pod["metadata"]["annotations"]
