"""What a strategy may ask of the pod, apart from volumes and init containers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from tests.admission.conftest import JSON, Injector, annotated, asking
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import Location, Plan, Strategy

NODES = {"models.example.com/my-model": "1.2.3"}
TOLERATION = {"key": "models.example.com/baked", "operator": "Exists"}
NEEDS: Mapping[str, Any] = {
    "volumes": ({"name": "models", "hostPath": {"path": "/opt/models", "type": "Directory"}},),
    "init_containers": ({"name": "mount-models", "image": "mount", "args": ["run"], "restartPolicy": "Always"},),
    "node_selector": NODES,
    "tolerations": (TOLERATION,),
    "image_pull_secrets": ("registry",),
    "scheduling_gates": ("example.com/headroom",),
    "annotations": {"example.com/mounts": "models"},
    "warnings": ("hostPath volumes are not admitted in baseline namespaces",),
}
Planned = Callable[..., Injector]


def _given(plan: Plan, *_: object) -> Plan:
    return plan


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, configured: Callable[..., Injector]) -> Planned:
    """Gives an injector with strategies that plan as they are told, for pods that ask for them by name."""

    def add(**needs: Mapping[str, Any]) -> Injector:
        for name, parts in needs.items():
            plan = Plan((Location("models", name),), **parts)
            monkeypatch.setitem(STRATEGIES, name, Strategy(name=name, summary="", plan=partial(_given, plan)))
        return configured(defaults={"service_account": "reader"})

    return add


def test_a_pod_gets_all_that_the_plan_asks_for(planned: Planned) -> None:
    pod = planned(baked=NEEDS)(asking(strategy="baked"))
    spec = pod["spec"]
    assert spec["nodeSelector"] == NODES
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
    assert "container mount-models already" in planned(baked=NEEDS).refusal(asking(spec, strategy="baked"))


def test_a_pod_that_selects_other_nodes_is_refused(planned: Planned) -> None:
    spec = {"containers": [{"name": "app"}], "nodeSelector": {"models.example.com/my-model": "2.0.0"}}
    message = planned(baked=NEEDS).refusal(asking(spec, strategy="baked"))
    assert "nodeSelector asks for models.example.com/my-model=2.0.0" in message


def test_two_strategies_that_need_different_nodes_are_refused(planned: Planned) -> None:
    other = {"node_selector": {"models.example.com/my-model": "other"}, "volumes": NEEDS["volumes"]}
    models = "[{model: a, version: 1.0.0, strategy: baked}, {model: b, version: 1.0.0, strategy: other}]"
    assert "two models select nodes" in planned(baked=NEEDS, other=other).refusal(annotated(models=models))


@pytest.mark.parametrize(("needs", "account"), [({}, None), ({"needs_credentials": True}, "reader")])
def test_only_a_plan_that_needs_credentials_brings_the_default_account(
    planned: Planned, needs: JSON, account: str | None
) -> None:
    pod = planned(baked={**NEEDS, **needs})(asking(strategy="baked"))
    assert pod["spec"].get("serviceAccountName") == account


def test_the_account_that_the_annotation_asks_for_is_always_used(planned: Planned) -> None:
    pod = planned(baked=NEEDS)(asking(strategy="baked", service_account="own"))
    assert pod["spec"]["serviceAccountName"] == "own"
