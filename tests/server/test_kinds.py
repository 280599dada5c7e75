"""Reviews of kinds that the platform names: they are pinned, and whatever is in them, they are allowed."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.polling import until
from tests.support.reviews import operations, review
from tests.support.webhook import SETTINGS, Webhook, running_webhook

JSON = dict[str, Any]
KIND = {"group": "leaderworkerset.x-k8s.io", "version": "v1", "kind": "LeaderWorkerSet"}
RESOURCE = {"group": "leaderworkerset.x-k8s.io", "version": "v1", "resource": "leaderworkersets"}
PINS = '{"models":[{"source":"default","model":"my-model","asked":"@champion","version":"1.2.3"}]}'
PATH = "/spec/leaderWorkerTemplate/workerTemplate/metadata/annotations/model-injector.io~1pinned"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    settings = {**SETTINGS, "workloads": {"kinds": [RESOURCE]}}
    with running_webhook(tmp_path_factory.mktemp("kinds"), settings) as running:
        yield running


def group(spec: Any = None, **annotations: str) -> JSON:
    names = {f"model-injector.io/{name}": value for name, value in annotations.items()}
    worker = {"metadata": {"annotations": names}, "spec": spec or {"containers": [{"name": "worker", "image": "w"}]}}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "groups"},
        "spec": {"leaderWorkerTemplate": {"workerTemplate": worker}},
    }


def answer(client: httpx.Client, owner: JSON, old: JSON | None = None, **request: Any) -> JSON:
    operation = "UPDATE" if old else "CREATE"
    fields = {"kind": KIND, "resource": RESOURCE, "operation": operation, "oldObject": old, **request}
    response = client.post("/mutate", json=review(owner, **fields))
    assert response.status_code == 200, response.text
    found: JSON = response.json()
    assert found["response"]["allowed"] is True
    return found


def test_a_pin_that_an_update_dropped_is_restored(client: httpx.Client) -> None:
    asking = {"model": "my-model", "version": "@champion"}
    found = answer(client, group(**asking), group(**asking, pinned=PINS))
    assert operations(found) == [{"op": "add", "path": PATH, "value": PINS}]


@pytest.mark.parametrize(
    ("owner", "warning"),
    [
        (group(model="my-model", version="@champion"), "pods of this LeaderWorkerSet will be refused: "),
        (
            group(spec={"containers": [{"name": "worker"}], "volumes": 1}, model="my-model"),
            "no model is injected: /spec",
        ),
        ({**group(), "spec": {"annotations": {"model-injector.io/model": "my-model"}}}, "model-injector.io/model does"),
        (group(model="my-model", version="1.2.3", modle="x"), "unknown annotation model-injector.io/modle"),
        ({**group(), "spec": {"model-injector.io/": [0] * 60_000}}, "no version is pinned: "),
    ],
)
def test_what_cannot_be_pinned_is_told_at_apply(client: httpx.Client, owner: JSON, warning: str) -> None:
    response = answer(client, owner)["response"]
    assert "patch" not in response
    assert response["warnings"][0].startswith(warning)


@pytest.mark.parametrize(
    ("owner", "request_fields"),
    [
        (group(), {}),
        (group(model="my-model", version="1.2.3"), {}),
        ({"apiVersion": 1, "kind": [], "metadata": None, "spec": "model-injector.io/"}, {}),
        (group(model="my-model", version="@champion"), {"subResource": "status"}),
        (group(model="my-model", version="@champion"), {"operation": "DELETE"}),
        (group(model="my-model", version="@champion"), {"resource": {**RESOURCE, "resource": "others"}}),
        (group(model="my-model", version="@champion"), {"resource": {**RESOURCE, "group": "other.example.com"}}),
    ],
)
def test_anything_else_is_allowed_as_it_is(client: httpx.Client, owner: JSON, request_fields: JSON) -> None:
    assert answer(client, owner, **request_fields)["response"].keys() == {"uid", "allowed"}


def test_another_version_of_a_named_kind_is_pinned_as_well(client: httpx.Client) -> None:
    asking = {"model": "my-model", "version": "@champion"}
    old = group(**asking, pinned=PINS)
    assert operations(answer(client, group(**asking), old, resource={**RESOURCE, "version": "v2"}))


@pytest.mark.parametrize(
    "body",
    [
        '"model-injector.io/"',
        '["model-injector.io/"]',
        '{"a": ' + "[" * 200_000 + '"model-injector.io/"' + "]" * 200_000 + "}",
    ],
)
def test_what_is_no_json_object_is_a_bad_request_so_that_the_failure_policy_applies(
    client: httpx.Client, body: str
) -> None:
    text = json.dumps(review({}, kind=KIND, resource=RESOURCE, object="OBJECT")).replace('"OBJECT"', body)
    response = client.post("/mutate", content=text.encode())
    assert response.status_code == 400
    assert response.json()["error"].startswith("not an")


def test_they_are_workloads_in_the_metrics(webhook: Webhook, client: httpx.Client) -> None:
    answer(client, group(), uid="uid-of-the-group")
    until(
        lambda: (
            'decisions_total{decision="skipped",kind="Workload",reason="NotAnnotated"}' in webhook.ops("/metrics").text
        )
    )
    until(lambda: any(line.get("uid") == "uid-of-the-group" for line in webhook.log()))
    (line,) = [line for line in webhook.log() if line.get("uid") == "uid-of-the-group"]
    assert (line["kind"], line["decision"]) == ("LeaderWorkerSet", "skipped")
