"""Who may preview what, by the cluster's word."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.preview.test_preview import DEPLOYMENT, POD
from tests.server.conftest import SETTINGS
from tests.support.api_server import ApiServer, running_api_server
from tests.support.reviews import review
from tests.support.webhook import Webhook, running_webhook

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
        }
        api.rights = {("ann", "default"), ("ann", "ml")}
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


def test_answers_are_remembered_for_seconds(client: httpx.Client, api: ApiServer) -> None:
    headers = {"authorization": "Bearer writer"}
    assert client.post("/preview", content=MANIFEST, headers=headers).status_code == 200
    before = len(api.requests)
    for _ in range(20):
        assert client.post("/preview", content=MANIFEST, headers=headers).status_code == 200
    assert len(api.requests) - before <= 4


def test_guessing_tokens_is_slow_and_hurts_nobody_who_has_one(client: httpx.Client) -> None:
    guesses = [
        client.post("/preview", content=MANIFEST, headers={"authorization": f"Bearer guess-{number}"})
        for number in range(40)
    ]
    assert guesses[-1].status_code == 429
    assert int(guesses[-1].headers["retry-after"]) >= 1
    headers = {"authorization": "Bearer writer"}
    assert client.post("/preview", content=MANIFEST, headers=headers).status_code in (200, 429)


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
