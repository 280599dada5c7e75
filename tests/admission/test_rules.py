"""Which namespaces may use which models, strategies and service accounts."""

from typing import Any

import msgspec
import pytest

from tests.admission.conftest import JSON, asking
from tests.support.known import Known, known_settings
from webhook.admission.decide import inject
from webhook.admission.result import AdmissionResult
from webhook.kubernetes.pod import decode

MODELS = {"my-model": ("1.2.3",), "my-org/ranker": ("1.2.3",)}
DENY: dict[str, Any] = {"allow": False}


def decide(rules: list[JSON], pod: JSON, namespace: str = "apps", **settings: Any) -> AdmissionResult:
    configured = known_settings(rules=rules, **settings)
    return inject(decode(msgspec.json.encode(pod)), namespace, configured, Known(configured, MODELS))


@pytest.mark.parametrize(
    ("rules", "namespace", "asked", "is_allowed"),
    [
        ([], "apps", {}, True),
        ([DENY], "apps", {}, False),
        ([{"namespaces": ["team-*"], **DENY}], "apps", {}, True),
        ([{"namespaces": ["team-*"], **DENY}], "team-a", {}, False),
        ([{"namespaces": ["other", "ap?s"], **DENY}], "apps", {}, False),
        ([{"models": ["my-org/*"], **DENY}], "apps", {}, True),
        ([{"models": ["my-org/*"], **DENY}], "apps", {"model": "my-org/ranker"}, False),
        ([{"models": ["my-*"], **DENY}], "apps", {"model": "my-org/ranker"}, False),
        ([{"strategies": ["s3-init"], **DENY}], "apps", {}, False),
        ([{"strategies": ["s3-mount"], **DENY}], "apps", {}, True),
        ([{"serviceAccounts": ["default"], **DENY}], "apps", {}, False),
        ([{"serviceAccounts": ["default"], **DENY}], "apps", {"service_account": "reader"}, True),
        ([{"serviceAccounts": ["admin-*"], **DENY}], "apps", {"service_account": "admin-x"}, False),
        ([{"namespaces": ["apps"], "models": ["other"], **DENY}], "apps", {}, True),
        ([{"namespaces": ["apps"]}, DENY], "apps", {}, True),
        ([{"namespaces": ["apps"]}, DENY], "web", {}, False),
        ([DENY, {"namespaces": ["apps"]}], "apps", {}, False),
    ],
)
def test_the_first_rule_that_fits_decides_and_without_one_all_is_allowed(
    rules: list[JSON], namespace: str, asked: dict[str, str], is_allowed: bool
) -> None:
    injection = decide(rules, asking(None, **asked), namespace)
    assert (injection.decision == "injected") is is_allowed, injection
    if not is_allowed:
        assert injection.reason == "Forbidden"
        assert injection.operations == ()


def test_the_account_that_counts_is_the_one_that_the_pod_runs_as() -> None:
    rules = [{"serviceAccounts": ["reader"]}, DENY]
    assert decide(rules, asking()).decision == "refused"
    assert decide(rules, asking({"serviceAccountName": "reader"})).decision == "injected"
    assert decide(rules, asking(service_account="reader")).decision == "injected"
    assert decide(rules, asking(), defaults={"service_account": "reader"}).decision == "injected"


def test_a_refusal_says_which_rule_and_whom_to_ask() -> None:
    rules = [{"namespaces": ["web"], **DENY}, {"models": ["my-*"], "message": "ask the platform team", **DENY}]
    assert decide(rules, asking()).message == (
        "namespace apps may not use model my-model by s3-init as service account default: rules[1] of this "
        "installation forbids it; ask the platform team"
    )


def test_who_may_not_use_a_model_does_not_hear_whether_it_is_there() -> None:
    refusals = {decide([DENY], asking(version=version)).reason for version in ("1.2.3", "9.9.9", "@champion", "^9")}
    assert refusals == {"Forbidden"}


def test_of_several_models_each_has_to_be_allowed() -> None:
    models = "[{model: my-model, version: 1.2.3}, {model: my-org/ranker, version: 1.2.3}]"
    pod = asking()
    pod["metadata"]["annotations"] = {"model-injector.io/models": models}
    assert decide([], pod).decision == "injected"
    assert "my-org/ranker" in decide([{"models": ["my-org/*"], **DENY}], pod).message
