"""Reviews in, reviews out."""

import base64
import json
from typing import Any

import httpx
import pytest

from tests.admission.conftest import annotated, asking
from tests.support.polling import until
from tests.support.reviews import apply, operations, review
from tests.support.webhook import Webhook


def answer(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/mutate", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert found["response"]["uid"] == body["request"]["uid"]
    return found


def test_an_annotated_pod_is_allowed_with_a_patch(client: httpx.Client) -> None:
    found = answer(client, review(asking()))
    assert found["response"]["allowed"] is True
    assert found["response"]["patchType"] == "JSONPatch"
    changed = apply(asking(), operations(found))
    assert changed["spec"]["initContainers"][0]["name"] == "fetch-my-model"


def test_the_audit_log_learns_what_was_injected(client: httpx.Client) -> None:
    recorded = answer(client, review(asking()))["response"]["auditAnnotations"]["injected"]
    assert json.loads(recorded)[0]["version"] == "1.2.3"


def test_a_pod_that_asks_for_nothing_is_allowed_as_it_is(client: httpx.Client) -> None:
    assert answer(client, review(annotated()))["response"] == {"uid": review({})["request"]["uid"], "allowed": True}


def test_a_refusal_has_code_422_and_a_message_to_act_on(client: httpx.Client) -> None:
    response = answer(client, review(asking(mount_path="models")))["response"]
    assert response["allowed"] is False
    assert "patch" not in response
    assert response["status"]["code"] == 422
    assert "annotation model-injector.io/mount-path: 'models' is not allowed; write" in response["status"]["message"]


def test_warnings_come_with_an_allowed_pod_and_with_a_refused_one(client: httpx.Client) -> None:
    for pod in (asking(modle="x"), asking(modle="x", mount_path="models")):
        (warning,) = answer(client, review(pod))["response"]["warnings"]
        assert "did you mean model-injector.io/model?" in warning


@pytest.mark.parametrize(
    "request_fields",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"subResource": "ephemeralcontainers"},
        {"kind": {"group": "apps", "version": "v1", "kind": "ReplicaSet"}},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "subResource": "scale"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "operation": "DELETE"},
    ],
)
def test_whatever_is_no_creation_of_a_pod_is_allowed_as_it_is(
    client: httpx.Client, request_fields: dict[str, Any]
) -> None:
    body = review(asking())
    body["request"] |= request_fields
    assert answer(client, body)["response"] == {"uid": body["request"]["uid"], "allowed": True}


def test_the_namespace_is_the_requests_where_the_pod_names_none(client: httpx.Client) -> None:
    assert "patch" not in answer(client, review(asking(), namespace="kube-system"))["response"]


def test_the_patch_of_a_second_pass_is_empty(client: httpx.Client) -> None:
    changed = apply(asking(), operations(answer(client, review(asking()))))
    assert "patch" not in answer(client, review(changed))["response"]


def logged(webhook: Webhook, uid: str) -> dict[str, Any]:
    """The one line about a request; it is written after the answer has gone out."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in webhook.log() if line.get("uid") == uid]

    until(lines)
    (line,) = lines()
    return line


def test_every_decision_is_one_line_of_the_log_without_the_object(webhook: Webhook, client: httpx.Client) -> None:
    pod = asking({"containers": [{"name": "app", "env": [{"name": "PASSWORD", "value": "hush-hush"}]}]})
    answer(client, review(pod, uid="uid-of-the-log"))
    line = logged(webhook, "uid-of-the-log")
    assert line.pop("milliseconds") > 0
    assert line.pop("time")
    assert line == {
        "level": "info",
        "message": "decision",
        "uid": "uid-of-the-log",
        "kind": "Pod",
        "namespace": "apps",
        "generateName": "app-",
        "decision": "injected",
        "reason": "Injected",
        "operations": 8,
        "models": ["my-model:1.2.3"],
    }
    assert "hush-hush" not in (webhook.folder / "log").read_text()


def test_a_name_that_is_given_stands_in_the_log(webhook: Webhook, client: httpx.Client) -> None:
    pod = annotated()
    pod["metadata"] = {"name": "named"}
    answer(client, review(pod, uid="uid-of-the-named"))
    line = logged(webhook, "uid-of-the-named")
    assert (line["name"], line["reason"]) == ("named", "NotAnnotated")


def test_the_patch_is_base64_of_json(client: httpx.Client) -> None:
    patch = answer(client, review(asking()))["response"]["patch"]
    assert json.loads(base64.b64decode(patch, validate=True))


def test_messages_are_bounded_and_hold_no_control_characters(client: httpx.Client) -> None:
    containers = [{"name": "x" * 5000}, {"name": "y"}]
    pod = asking({"containers": containers}, containers="nobody")
    pod["metadata"]["annotations"]["model-injector.io/a\nb\x1b"] = "x"
    response = answer(client, review(pod))["response"]
    texts = [response["status"]["message"], *response["warnings"]]
    assert all(text.isprintable() for text in texts)
    assert len(texts[0]) == 2048
    assert all(len(text) <= 256 for text in texts[1:])
