"""Bodies that are no reviews of pods: each gets its answer, none harms."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from typing import Any

import httpx
import pytest

from tests.admission.conftest import JSON, asking
from tests.admission.test_pinning import asking as workload_asking
from tests.support.reviews import review
from tests.support.webhook import HOST, Webhook

MIB = 1024 * 1024


def post(client: httpx.Client, body: bytes | str) -> httpx.Response:
    return client.post("/mutate", content=body)


def changed(**fields: Any) -> str:
    return json.dumps({**review(asking()), **fields})


def with_object(found: Any) -> str:
    body = review(asking())
    body["request"]["object"] = found
    return json.dumps(body)


def of_deployment(spec: Any) -> JSON:
    """The review of a Deployment's update, from a template that is another."""
    old = workload_asking(pinned='{"models":[{"source":"default","model":"m","asked":"^1","version":"1.2.3"}]}')
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    return review({"metadata": {}, "spec": spec}, kind=kind, operation="UPDATE", oldObject=old)


def test_an_answer_about_a_long_invalid_value_is_short(client: httpx.Client) -> None:
    answer = post(client, changed(kind="K" * 10_000))
    assert answer.status_code == 400
    assert "Invalid enum value 'KKK" in answer.json()["error"]
    assert len(answer.json()["error"]) < 400


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{",
        "{}",
        "\xff\xfe",
        "NaN",
        changed(apiVersion="admission.k8s.io/v1beta1"),
        changed(kind="ConversionReview"),
        changed(request=None),
        changed(request={"uid": ""}),
        changed(request={**review({})["request"], "uid": ""}),
        changed(request={**review({})["request"], "uid": 7}),
        with_object(None),
        with_object("pod"),
        with_object({}),
        with_object({"spec": None}),
        with_object({"spec": {"containers": "app"}}),
        with_object({"spec": {"containers": [{"name": 1}]}}),
        with_object({"spec": {"containers": [None]}}),
        with_object({"metadata": {"annotations": {"model-injector.io/model": 1}}, "spec": {}}),
        json.dumps(of_deployment(None)),
        json.dumps(of_deployment({})),
        json.dumps(of_deployment({"template": None})),
        json.dumps(of_deployment({"template": {"spec": {"containers": [None]}}})),
        json.dumps(of_deployment({"template": {"metadata": None, "spec": {}}})),
        "[" * 100_000,
        '{"a":' * 100_000,
        changed(x=[]).replace("[]", "[" * 1_000_000 + "]" * 1_000_000),
    ],
)
def test_a_body_that_is_no_review_of_a_pod_is_a_400_with_a_reason(client: httpx.Client, body: str) -> None:
    response = post(client, body.encode("latin-1"))
    assert response.status_code == 400
    assert response.json()["error"].startswith(("not an AdmissionReview v1: ", "not a Pod: ", "not a Deployment: "))
    assert len(response.text) < 500


@pytest.mark.parametrize("size", [7 * MIB + 1, 20 * MIB])
def test_a_body_over_seven_mebibytes_is_a_413(client: httpx.Client, size: int) -> None:
    assert post(client, b" " * size).status_code == 413


def test_a_body_over_seven_mebibytes_is_a_413_without_a_length_as_well(client: httpx.Client) -> None:
    chunks = (b" " * MIB for _ in range(9))
    assert client.post("/mutate", content=chunks).status_code == 413


def test_a_body_of_almost_seven_mebibytes_is_answered(client: httpx.Client) -> None:
    pod = asking()
    pod["metadata"]["annotations"]["other.io/notes"] = "x" * (7 * MIB - 10_000)
    assert post(client, json.dumps(review(pod))).json()["response"]["patch"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/mutate", 405), ("PUT", "/mutate", 405), ("POST", "/other", 404)]
)
def test_other_methods_and_paths_are_told_so(client: httpx.Client, method: str, path: str, status: int) -> None:
    assert client.request(method, path).status_code == status


def mutations(seed: int) -> Iterator[bytes]:
    """Reviews with random damage: bytes flipped, cut, repeated, and values replaced by others that JSON knows."""
    chance = random.Random(seed)  # noqa: S311 - the same damage in every run
    bound = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    app = {"name": "app", "resources": bound, "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}]}
    pod = asking({"containers": [app], "volumes": [{"name": "v", "emptyDir": {}}]})
    valid = [json.dumps(each).encode() for each in (review(pod), of_deployment({"template": pod}))]
    odd = [b"null", b"-1", b"1e999", b'"\\ud800"', b'"\\u0000"', b"[]", b"{}", b"true", b'""', b"9" * 400]
    while True:
        body = bytearray(chance.choice(valid))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body)) if body else 0
            kind = chance.randrange(5)
            if kind == 0:
                body[at : at + 1] = bytes([chance.randrange(256)])
            elif kind == 1:
                del body[at : at + chance.randrange(1, 40)]
            elif kind == 2:
                body[at:at] = body[at : at + chance.randrange(200)]
            elif kind == 3 and (colon := body.find(b": ", at)) > 0:
                end = min(end for end in (body.find(b",", colon), body.find(b"}", colon), len(body)) if end > 0)
                body[colon + 2 : end] = chance.choice(odd)
            else:
                body = body[: max(at, 1)]
        yield bytes(body)


def test_ten_thousand_malformed_bodies_give_no_5xx_and_no_dead_process(webhook: Webhook, client: httpx.Client) -> None:
    answers = Counter[int]()
    # Not httpx, which takes longer for a request than the webhook does.
    with closing(HTTPSConnection(HOST, webhook.port, timeout=30, context=webhook.trust)) as connection:
        for body in mutations(seed=1):
            connection.request("POST", "/mutate", body)
            with connection.getresponse() as response:
                response.read()
            answers[response.status] += 1
            if answers.total() - answers[200] == 10_000:
                break
    assert set(answers) == {200, 400}, answers  # some damage hits only what may be anything
    assert webhook.process.poll() is None
    assert "model_injector_errors_total 0.0" in webhook.ops("/metrics").text
    assert post(client, json.dumps(review(asking()))).json()["response"]["patch"]
