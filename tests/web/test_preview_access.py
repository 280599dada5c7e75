"""Who may preview what, by the cluster's word."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.preview.test_preview import DEPLOYMENT, POD
from tests.support.api_server import ApiServer, running_api_server
from tests.support.reviews import review
from tests.support.webhook import SETTINGS, Webhook, running_webhook

MANIFEST = POD.format(version="1.2.3")


def jwt(audience: str) -> str:
    """As much of a token as tells what it is for."""
    payload = base64.urlsafe_b64encode(json.dumps({"aud": [audience]}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.users = {
            "writer": ("ann", ""),
            "reader": ("bob", ""),
            "bound": ("ann", "model-injector"),
            jwt("model-injector"): ("ann", "model-injector"),
            jwt("vault"): ("ann", "vault"),
            "grouped": ("cyd", ""),
            "bound-to-many": ("dee", ""),
        }
        api.groups = {"cyd": ["team-ml"]}
        api.rights = {("ann", "default"), ("ann", "ml"), ("team-ml", "default")}
        yield api


@pytest.fixture(scope="module")
def webhook(api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    with running_webhook(folder, SETTINGS, env={"KUBECONFIG": str(api.kubeconfig(folder))}) as running:
        yield running


def test_no_token_is_401_no_right_403_and_with_both_it_is_200(client: httpx.Client) -> None:
    answers = {
        token: client.post("/preview", content=MANIFEST, headers={"authorization": token})
        for token in ("", "Basic YTpi", "Bearer", "Bearer unknown", "Bearer reader", "Bearer writer")
    }
    assert [answer.status_code for answer in answers.values()] == [401, 401, 401, 401, 403, 200]
    assert answers["Bearer unknown"].headers["www-authenticate"] == "Bearer"
    assert answers["Bearer reader"].json() == {"error": "bob may not create pods in default"}


def test_rights_come_by_groups_too(client: httpx.Client) -> None:
    headers = {"authorization": "Bearer grouped"}
    assert client.post("/preview", content=MANIFEST, headers=headers).status_code == 200


def test_nothing_is_told_of_a_review_without_the_right(client: httpx.Client, api: ApiServer) -> None:
    """Be it of an object that makes no pods, and says that it does."""
    asked = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "spec": {"template": {"metadata": yaml.safe_load(MANIFEST)["metadata"], "spec": {}}},
    }
    body = review(asked, "kube-public", kind={"group": "apps", "version": "v1", "kind": "Deployment"})
    reader, writer = ({"authorization": f"Bearer {token}"} for token in ("reader", "writer"))
    before = len(api.reviews)
    assert client.post("/preview", json=body, headers=reader).status_code == 403
    assert ("SubjectAccessReview", "kube-public") in [
        (kind, spec.get("resourceAttributes", {}).get("namespace")) for kind, spec in api.reviews[before:]
    ]
    body["request"]["namespace"] = "default"
    answer = client.post("/preview", json=body, headers=writer)
    assert answer.status_code == 400
    assert "the AdmissionReview's request.kind is apps/v1/Deployment, but its object is" in answer.json()["error"]


def test_namespaces_are_asked_about_until_one_is_denied_and_not_without_end(
    client: httpx.Client, api: ApiServer
) -> None:
    reader = {"authorization": "Bearer reader"}
    many = [MANIFEST.replace("name: my-pod", f"name: p\n  namespace: n{number}") for number in range(60)]
    before = len(api.reviews)
    answer = client.post("/preview", content="---\n".join(many[:40]), headers=reader)
    assert answer.json() == {"error": "bob may not create pods in n0"}
    assert len([kind for kind, _ in api.reviews[before:] if kind == "SubjectAccessReview"]) == 1
    answer = client.post("/preview", content="---\n".join(many), headers=reader)
    assert (answer.status_code, "more than 50 namespaces" in answer.text) == (413, True)


def test_each_namespace_of_a_manifest_counts(client: httpx.Client) -> None:
    text = f"{MANIFEST}---\n{DEPLOYMENT.replace('VERSION', '1.2.3')}"
    writer = {"authorization": "Bearer writer"}
    assert client.post("/preview", content=text, headers=writer).status_code == 200
    answer = client.post("/preview", content=text.replace("namespace: ml", "namespace: other"), headers=writer)
    assert answer.json() == {"error": "ann may not create pods in other"}


def test_a_token_for_previews_alone_is_enough_and_one_for_something_else_is_not(client: httpx.Client) -> None:
    status = {
        audience: client.post(
            "/preview", content=MANIFEST, headers={"authorization": f"Bearer {jwt(audience)}"}
        ).status_code
        for audience in ("model-injector", "vault")
    }
    assert status == {"model-injector": 200, "vault": 401}


def test_behind_a_proxy_the_token_has_a_header_of_its_own(client: httpx.Client) -> None:
    headers = {"x-model-injector-token": "writer"}
    assert client.post("/preview", content=MANIFEST, headers=headers).status_code == 200


def test_nothing_is_read_of_who_is_nobody(client: httpx.Client) -> None:
    assert client.post("/preview", content=b"\x00").status_code == 401


@pytest.fixture
def elsewhere(webhook: Webhook) -> Iterator[httpx.Client]:
    """A client with an address of its own."""
    with webhook.client("127.0.0.2") as client:
        yield client


def test_guessing_tokens_is_slow_and_hurts_nobody_who_is_known(client: httpx.Client, elsewhere: httpx.Client) -> None:
    writer = {"authorization": "Bearer writer"}
    assert elsewhere.post("/preview", content=MANIFEST, headers=writer).status_code == 200
    guess, asked = elsewhere.post("/preview", headers={"authorization": "Bearer guess"}), 1
    while guess.status_code == 401 and asked < 200:
        guess = elsewhere.post("/preview", content=MANIFEST, headers={"authorization": f"Bearer guess-{asked}"})
        asked += 1
    assert guess.status_code == 429
    assert int(guess.headers["retry-after"]) >= 1
    assert asked > 15
    assert client.post("/preview", headers={"authorization": "Bearer guess-of-another-client"}).status_code == 401
    assert elsewhere.post("/preview", content=MANIFEST, headers=writer).status_code == 200


@pytest.mark.alone
def test_a_user_has_so_many_previews_a_second(client: httpx.Client) -> None:
    headers, statuses = {"authorization": "Bearer bound-to-many"}, list[int]()
    for _ in range(150):
        statuses.append(client.post("/preview", content="kind: [", headers=headers).status_code)
        if statuses[-1] == 429:
            break
    assert (statuses[0], statuses[-1]) == (400, 429)
    assert 100 <= len(statuses) <= 140


def test_no_token_is_in_the_log(webhook: Webhook) -> None:
    log = (webhook.folder / "log").read_text()
    assert "guess-" not in log
    assert "Bearer" not in log


def test_an_api_server_that_does_not_answer_is_503(tmp_path: Path, api: ApiServer) -> None:
    environment = {"KUBECONFIG": str(api.kubeconfig(tmp_path))}
    with running_webhook(tmp_path, SETTINGS, env=environment) as webhook, webhook.client() as client:
        api.answer = 500
        try:
            answer = client.post("/preview", content=MANIFEST, headers={"authorization": "Bearer writer"})
        finally:
            api.answer = None
        assert answer.status_code == 503
        assert client.post("/mutate", json=review(yaml.safe_load(MANIFEST))).status_code == 200
