"""What the node cache may change of nodes: of its own, the labels of versions and the startup taint."""

from typing import Any

import pytest

from tests.chart.conftest import JSON, NAMESPACE, Rendered, RenderError, render
from tests.chart.test_cel import evaluate
from webhook.model.objects import CACHED, cached_label
from webhook.node_cache.marking import TAINT

NAME = "model-injector-node-cache"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
BOUND_TO = "authentication.kubernetes.io/node-name"
LABEL = f"model-injector.io/{cached_label('', 's3://b/m-1')}"
STARTUP: JSON = {"key": f"model-injector.io/{TAINT}", "effect": "NoSchedule"}
GPU: JSON = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
NODE: JSON = {
    "metadata": {
        "name": "n1",
        "resourceVersion": "1",
        "labels": {"kubernetes.io/hostname": "n1", "model-injector.io/gpu": "a100"},
        "annotations": {"a": "b"},
        "finalizers": ["f"],
    },
    "spec": {
        "podCIDR": "10.0.0.0/24",
        "podCIDRs": ["10.0.0.0/24"],
        "providerID": "aws:///i-1",
        "taints": [STARTUP, GPU],
    },
}


def marking(kubernetes: str = "1.37", /, **options: object) -> Rendered:
    """What is rendered with these settings of the strategy."""
    values = {"nodeCache": {"enabled": True}, "config": {"strategies": {"node-cache": options}}}
    return render(values, kubernetes=kubernetes)


ON = pytest.mark.parametrize("option", ["placement", "startupTaint"])


@ON
def test_only_with_one_of_the_settings_it_may_change_nodes(option: str) -> None:
    may: JSON = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}
    off = marking(**{option: False})
    assert may not in off.of_node_cache("ClusterRole")["rules"]
    assert not [kind for kind, _ in off.node_cache if kind.startswith("ValidatingAdmission")]
    on = marking(**{option: True, "authenticationSource": "driver"})
    assert on.of_node_cache("ClusterRole")["rules"] == [may]
    assert on.of_node_cache("ClusterRoleBinding")["subjects"][0]["name"] == NAME
    assert on.of_node_cache("DaemonSet")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    both = marking(**{option: True}).of_node_cache("ClusterRole")["rules"]
    assert both == [*off.of_node_cache("ClusterRole")["rules"], may]


@ON
def test_a_cluster_without_such_policies_gets_no_right(option: str) -> None:
    with pytest.raises(RenderError, match=r"placement and startupTaint need Kubernetes 1\.30"):
        marking("1.29", **{option: True})
    assert marking("1.29").node_cache
    assert marking("1.30", **{option: True}).of_node_cache("ValidatingAdmissionPolicyBinding")["spec"] == {
        "policyName": NAME,
        "validationActions": ["Deny"],
    }


def test_the_policy_is_about_every_change_of_nodes() -> None:
    spec = marking(placement=True).of_node_cache("ValidatingAdmissionPolicy")["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConstraints"] == {
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["UPDATE"],
                "resources": ["nodes", "nodes/status"],
            }
        ]
    }


def with_fields(field: str, **changed: Any) -> JSON:
    """The node with other values in `metadata` or `spec`; None takes one away."""
    fields = {name: value for name, value in {**NODE[field], **changed}.items() if value is not None}
    return {**NODE, field: fields}


def with_labels(**changed: str | None) -> JSON:
    labels = {**NODE["metadata"]["labels"], **changed}
    return with_fields("metadata", labels={name: value for name, value in labels.items() if value is not None})


def verdicts(
    new: JSON,
    old: JSON = NODE,
    *,
    account: str = ACCOUNT,
    extra: JSON | None = None,
    subresource: str = "",
    rendered: Rendered | None = None,
) -> list[str]:
    """Why the change of a node is refused."""
    extra = {BOUND_TO: ["n1"]} if extra is None else extra
    user = {"username": account, **({"extra": extra} if extra else {})}
    request = {"userInfo": user, **({"subResource": subresource} if subresource else {})}
    data: JSON = {"object": new, "oldObject": old, "request": request}
    rendered = rendered or marking(placement=True)
    spec = rendered.of_node_cache("ValidatingAdmissionPolicy")["spec"]
    if not all(evaluate(each["expression"], **data) for each in spec["matchConditions"]):
        return []
    variables = {each["name"]: evaluate(each["expression"], **data) for each in spec["variables"]}
    return [
        each["message"]
        for each in spec["validations"]
        if evaluate(each["expression"], **data, variables=variables) is not True
    ]


BARE: JSON = {"metadata": {"name": "n1"}, "spec": {}}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (NODE, NODE),
        (BARE, BARE),
        (with_labels(**{LABEL: "true"}), NODE),
        (NODE, with_labels(**{LABEL: "true"})),
        ({**BARE, "metadata": {"name": "n1", "labels": {LABEL: "true"}}}, BARE),
        (BARE, {**BARE, "metadata": {"name": "n1", "labels": {LABEL: "true"}}}),
        (with_fields("spec", taints=[GPU]), NODE),
        (with_fields("spec", taints=None), with_fields("spec", taints=[STARTUP, {**STARTUP, "effect": "NoExecute"}])),
        (with_fields("metadata", resourceVersion="2", managedFields=[{}]), NODE),
    ],
)
def test_the_driver_may_change_its_labels_and_remove_its_taint(new: JSON, old: JSON) -> None:
    assert verdicts(new, old) == []


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (with_labels(**{"node-role.kubernetes.io/control-plane": ""}), "labels that begin with"),
        (with_labels(**{"model-injector.io/gpu": "h100"}), "labels that begin with"),
        (with_labels(**{"model-injector.io/gpu": None}), "labels that begin with"),
        (with_fields("metadata", labels=None), "labels that begin with"),
        (with_labels(**{f"other.io/{CACHED}0": "true"}), "labels that begin with"),
        (with_fields("spec", taints=[STARTUP]), "only remove the taint"),
        (with_fields("spec", taints=None), "only remove the taint"),
        (with_fields("spec", taints=[STARTUP, GPU, {"key": "x", "effect": "NoSchedule"}]), "only remove the taint"),
        (with_fields("spec", taints=[STARTUP, {**GPU, "effect": "NoExecute"}]), "only remove the taint"),
        (with_fields("spec", taints=[{**STARTUP, "effect": "NoExecute"}, GPU]), "only remove the taint"),
        (with_fields("spec", unschedulable=True), "only change the labels and taints"),
        (with_fields("spec", providerID=None), "only change the labels and taints"),
        (with_fields("spec", podCIDRs=["10.1.0.0/24"]), "only change the labels and taints"),
        (with_fields("spec", podCIDR=None), "only change the labels and taints"),
        (with_fields("spec", configSource={"configMap": {}}), "only change the labels and taints"),
        (with_fields("metadata", annotations={"a": "c"}), "only change the labels and taints"),
        (with_fields("metadata", annotations=None), "only change the labels and taints"),
        (with_fields("metadata", finalizers=["f", "g"]), "only change the labels and taints"),
        (with_fields("metadata", ownerReferences=[{"uid": "x"}]), "only change the labels and taints"),
    ],
)
def test_the_driver_may_change_nothing_else_of_its_node(new: JSON, reason: str) -> None:
    (message,) = verdicts(new)
    assert reason in message


def test_the_driver_may_not_change_the_status() -> None:
    (message,) = verdicts(NODE, subresource="status")
    assert "only change the labels and taints" in message


@pytest.mark.parametrize("extra", [{}, {"other": ["n1"]}, {BOUND_TO: ["n2"]}, {BOUND_TO: []}])
def test_the_driver_may_change_no_other_node_and_none_with_a_token_of_no_node(extra: JSON) -> None:
    assert verdicts(with_labels(**{LABEL: "true"}), extra=extra) == ["the node cache may only change its own node"]


@pytest.mark.parametrize("account", ["system:node:n1", f"system:serviceaccount:{NAMESPACE}:other"])
def test_others_change_nodes_as_before(account: str) -> None:
    assert verdicts(with_fields("spec", unschedulable=True), account=account, extra={}) == []


def test_another_prefix_and_another_account_are_those_of_the_values() -> None:
    rendered = render(
        {
            "nodeCache": {"enabled": True, "serviceAccount": {"create": False, "name": "ours"}},
            "config": {"annotationPrefix": "models.example.com", "strategies": {"node-cache": {"placement": True}}},
        },
        namespace="models",
    )
    ours = "system:serviceaccount:models:ours"
    label = with_labels(**{"models.example.com/cached-0": "true"})
    assert verdicts(label, account=ours, rendered=rendered) == []
    assert len(verdicts(with_labels(**{LABEL: "true"}), account=ours, rendered=rendered)) == 1
    old = with_fields("spec", taints=[{"key": f"models.example.com/{TAINT}", "effect": "NoSchedule"}])
    assert verdicts(with_fields("spec", taints=None), old, account=ours, rendered=rendered) == []
