"""The chart's CEL, evaluated as an API server does it: for what costs a call, and what the guard lets through."""

from collections.abc import Mapping
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from tests.admission.conftest import Injector, annotated, asking
from tests.admission.operating_systems import LINUX_PODS, WINDOWS_PODS
from tests.chart.cases import CASES
from tests.chart.conftest import JSON, Rendered, render
from tests.support.reviews import apply
from webhook.settings import Settings

ENVIRONMENT = cel.NewEnv(
    variables=dict.fromkeys(("object", "oldObject", "request", "variables"), cel.Type.DYN),
    extensions=[ext_strings.ExtStrings()],
)
IDENTITY = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
ROLE = ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def evaluate(expression: str, **data: Any) -> Any:
    """The value of an expression; an error in it fails the test, as it would fail a request."""
    found = ENVIRONMENT.compile(expression).eval(data=data)
    assert found.type() != cel.Type.ERROR, (expression, found.plain_value())
    return found.plain_value()


def all_hold(conditions: list[JSON], pod: JSON) -> bool:
    return all(evaluate(each["expression"], object=pod) is True for each in conditions)


def pod(annotations: Mapping[str, str] | None) -> JSON:
    metadata: JSON = {"name": "app"} if annotations is None else {"name": "app", "annotations": dict(annotations)}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app"}]}}


@pytest.mark.parametrize(
    ("annotations", "costs_a_call"),
    [
        (None, False),
        ({}, False),
        ({"sidecar.istio.io/inject": "true"}, False),
        ({"model-injector.io.example.com/model": "x"}, False),
        ({"model-injector.io/model": "my-model"}, True),
        ({"model-injector.io/models": "[]"}, True),
        ({"model-injector.io/modle": "misspelt: worth a warning"}, True),
        ({"model-injector.io/model": "my-model", "model-injector.io/inject": "true"}, True),
        ({"model-injector.io/model": "my-model", "model-injector.io/inject": "false"}, False),
        ({"model-injector.io/model": "my-model", "model-injector.io/inject": " false\n"}, False),
        ({"model-injector.io/model": "my-model", "kubernetes.io/config.mirror": "abc"}, False),
    ],
)
def test_only_an_annotated_pod_costs_a_call(annotations: Mapping[str, str] | None, costs_a_call: bool) -> None:
    assert all_hold(render().entry["matchConditions"], pod(annotations)) is costs_a_call


MINE = {"annotations": {"model-injector.io/model": "my-model"}}
OTHER = {"annotations": {"sidecar.istio.io/inject": "true"}}


@pytest.mark.parametrize(
    ("workload", "costs_a_call"),
    [
        ({"metadata": {}, "spec": {"template": {"metadata": MINE}}}, True),
        ({"metadata": OTHER, "spec": {"template": {"metadata": MINE}}}, True),
        ({"metadata": MINE, "spec": {"template": {"metadata": {}}}}, True),
        ({"metadata": MINE, "spec": {"template": {}}}, True),
        ({"metadata": {}, "spec": {"jobTemplate": {"spec": {"template": {"metadata": MINE}}}}}, True),
        ({"metadata": {}, "spec": {"jobTemplate": {"spec": {"template": {}}}}}, False),
        ({"metadata": {}, "spec": {"template": {"metadata": {}}}}, False),
        ({"metadata": OTHER, "spec": {"template": {"metadata": OTHER}}}, False),
        ({"metadata": {}, "spec": {"template": {}}}, False),
    ],
)
def test_only_an_annotated_workload_costs_a_call(workload: JSON, costs_a_call: bool) -> None:
    assert all_hold(render().workloads_entry["matchConditions"], workload) is costs_a_call


def asks(operation: str, new: JSON | None, old: JSON | None = None) -> bool:
    """Whether the API server asks about an object of a kind that the platform names."""
    (condition,) = render(CASES["kinds"]).kinds_entry["matchConditions"]
    data = {"object": new, "oldObject": old, "request": {"operation": operation}}
    found = evaluate(condition["expression"], **data)
    assert isinstance(found, bool)
    return found


SPEC: JSON = {"groups": [{"template": {"metadata": {"annotations": {"a": "b"}}, "replicas": 2}}]}


@pytest.mark.parametrize("new", [{"metadata": {}}, {"metadata": {}, "spec": SPEC}, {"metadata": MINE}])
def test_every_creation_of_a_named_kind_costs_a_call(new: JSON) -> None:
    assert asks("CREATE", new)


@pytest.mark.parametrize(
    ("new", "old", "costs_a_call"),
    [
        ({"metadata": {}}, {"metadata": {}}, False),
        ({"metadata": {}, "spec": SPEC}, {"metadata": {}, "spec": SPEC}, False),
        ({"metadata": {"labels": {"a": "b"}}, "spec": SPEC}, {"metadata": {}, "spec": SPEC}, False),
        ({"metadata": MINE, "spec": SPEC, "status": {"a": 1}}, {"metadata": MINE, "spec": SPEC}, False),
        ({"metadata": {}, "spec": SPEC}, {"metadata": {}}, True),
        ({"metadata": {}}, {"metadata": {}, "spec": SPEC}, True),
        ({"metadata": {}, "spec": {"groups": []}}, {"metadata": {}, "spec": SPEC}, True),
        ({"metadata": {}, "spec": None}, {"metadata": {}, "spec": SPEC}, True),
        ({"metadata": MINE, "spec": SPEC}, {"metadata": {}, "spec": SPEC}, True),
        ({"metadata": {}, "spec": SPEC}, {"metadata": MINE, "spec": SPEC}, True),
        ({"metadata": MINE, "spec": SPEC}, {"metadata": OTHER, "spec": SPEC}, True),
    ],
)
def test_only_an_update_of_the_spec_or_of_annotations_costs_a_call(new: JSON, old: JSON, costs_a_call: bool) -> None:
    assert asks("UPDATE", new, old) is costs_a_call


def test_another_prefix_is_looked_for_where_it_is_set() -> None:
    conditions = render({"config": {"annotationPrefix": "models.example.com"}}).entry["matchConditions"]
    assert all_hold(conditions, pod({"models.example.com/model": "m"}))
    assert not all_hold(conditions, pod({"model-injector.io/model": "m"}))


def verdicts(pod: JSON, values: JSON | None = None) -> list[str]:
    """The messages of the guard's validations that a pod does not pass."""
    return verdicts_of(render({"guard": {"enabled": True, **(values or {})}}), pod)


def verdicts_of(rendered: Rendered, pod: JSON) -> list[str]:
    """The messages of the validations of a rendered guard that a pod does not pass."""
    policy = rendered.one("ValidatingAdmissionPolicy")["spec"]
    if not all_hold(policy["matchConditions"], pod):
        return []
    variables = {each["name"]: evaluate(each["expression"], object=pod) for each in policy["variables"]}
    return [
        each["message"]
        for each in policy["validations"]
        if evaluate(each["expression"], object=pod, variables=variables) is not True
    ]


def injected(*environment: str) -> JSON:
    """A pod that came through the chain, its init container with these variables."""
    asked = asking()
    changed = apply(asked, Injector(Settings(bucket="my-ml-bucket")).decide(asked).operations)
    for container in changed["spec"]["initContainers"]:
        container["env"] = [{"name": name, "value": "x"} for name in environment]
    return changed


@pytest.mark.parametrize("pair", [IDENTITY, ROLE, KEYS])
def test_the_guard_lets_an_injected_pod_through(pair: tuple[str, str]) -> None:
    assert verdicts(injected("OTHER", *pair)) == []


def test_the_guard_leaves_other_pods_alone() -> None:
    assert verdicts(pod(None)) == []
    assert verdicts(pod({"model-injector.io/model": "m", "model-injector.io/inject": "false"})) == []
    assert verdicts(pod({"model-injector.io/model": "m", "kubernetes.io/config.mirror": "x"})) == []


@pytest.mark.parametrize(
    "containers",
    [
        None,
        [],
        [{"name": "fetch-my-model", "image": "x"}],
        [{"name": "fetch-my-model", "command": ["sh"]}],
        [{"name": "other", "command": ["/bin/sh", "-c", "…", "model-fetch"]}],
    ],
)
def test_the_guard_refuses_a_pod_whose_record_is_copied_without_its_init_container(
    containers: list[JSON] | None,
) -> None:
    asked = injected(*ROLE)
    asked["spec"]["initContainers"] = containers
    if containers is None:
        del asked["spec"]["initContainers"]
    (message,) = verdicts(asked)
    assert "by the strategy s3-init and lacks an init container that fetches one of them" in message
    assert verdicts(asked, {"credentials": False}) == [message]


def test_the_guard_refuses_a_pod_that_lacks_the_init_container_of_one_of_its_models() -> None:
    models = "[{model: my-model, version: 1.2.3}, {model: other, version: 2.0.0}]"
    asked = annotated(models=models)
    changed = apply(asked, Injector(Settings(bucket="my-ml-bucket")).decide(asked).operations)
    assert verdicts(changed, {"credentials": False}) == []
    del changed["spec"]["initContainers"][1]
    (message,) = verdicts(changed, {"credentials": False})
    assert "lacks an init container that fetches one of them" in message


@pytest.mark.parametrize("spec", WINDOWS_PODS)
def test_the_guard_leaves_windows_pods_alone_as_the_webhook_does(spec: JSON) -> None:
    asked = asking(spec)
    assert Injector(Settings(bucket="my-ml-bucket")).decide(asked).reason == "WindowsPod"
    assert verdicts(asked) == []


@pytest.mark.parametrize("spec", LINUX_PODS)
def test_the_guard_looks_at_linux_pods_as_the_webhook_does(spec: JSON) -> None:
    assert Injector(Settings(bucket="my-ml-bucket")).decide(asking(spec)).decision == "injected"
    (message,) = verdicts(asking(spec))
    assert "has none injected" in message


@pytest.mark.parametrize("record", [None, "", "[]", '[{"model":"m","strategy":"unknown"}]'])
def test_the_guard_refuses_a_pod_without_a_record_of_a_strategy(record: str | None) -> None:
    asked = injected(*ROLE)
    del asked["metadata"]["annotations"]["model-injector.io/injected"]
    if record is not None:
        asked["metadata"]["annotations"]["model-injector.io/injected"] = record
    (message,) = verdicts(asked)
    assert "has none injected" in message


@pytest.mark.parametrize(
    "environment", [(), IDENTITY[:1], IDENTITY[1:], ROLE[:1], ROLE[1:], KEYS[:1], (IDENTITY[0], ROLE[1])]
)
def test_the_guard_refuses_half_a_set_of_credentials(environment: tuple[str, ...]) -> None:
    changed = injected(*environment)
    (message,) = verdicts(changed)
    assert "a complete set of AWS credentials" in message
    assert verdicts(changed, {"credentials": False}) == []


@pytest.mark.parametrize("select", ["annotations", "label"])
def test_the_guard_looks_at_what_the_webhook_looks_at(select: str) -> None:
    webhook = {"optIn": True, "select": select, "objectSelector": {"matchLabels": {"team": "ml"}}}
    rendered = render({"guard": {"enabled": True}, "webhook": webhook})
    policy = rendered.one("ValidatingAdmissionPolicy")["spec"]["matchConstraints"]
    for key in ("namespaceSelector", "objectSelector", "matchPolicy"):
        assert policy[key] == rendered.entry[key]
    (rule,) = policy["resourceRules"]
    assert [rule] == rendered.entry["rules"]
    binding = rendered.one("ValidatingAdmissionPolicyBinding")["spec"]
    assert binding == {"policyName": "model-injector", "validationActions": ["Deny"]}
