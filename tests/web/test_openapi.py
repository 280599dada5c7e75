"""The OpenAPI document holds, and what it says of itself works."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.api_server import running_api_server
from tests.support.webhook import SETTINGS, Webhook, running_webhook
from webhook.preview.dump import dump
from webhook.preview.text import without_script


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    with running_webhook(folder, {**SETTINGS, "preview": {"auth": "none"}}) as running:
        yield running


def run_schemathesis(webhook: Webhook, *arguments: str) -> None:
    """Requests made up from the document, right and wrong. Not every object of its schema is a manifest."""
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            *("run", f"{webhook.url}/openapi.json", "--tls-verify", webhook.folder / "ca.crt"),
            *("--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--generation-deterministic"),
            *("--max-examples", "100", "--no-color", *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=webhook.folder,
    )
    assert done.returncode == 0, done.stdout
    assert not [line for line in webhook.log() if line["level"] == "error"]


def test_whatever_is_sent_the_answer_is_one_of_the_document(webhook: Webhook) -> None:
    run_schemathesis(webhook)


def test_it_holds_with_access_control_and_nobody_gets_around_that(tmp_path: Path) -> None:
    with running_api_server() as api:
        api.users = {"t": ("ann", "")}
        api.rights = {("ann", "default"), ("ann", "apps")}
        with running_webhook(tmp_path, SETTINGS, env={"KUBECONFIG": str(api.kubeconfig(tmp_path))}) as webhook:
            run_schemathesis(webhook, "--header", "Authorization: Bearer t")


def test_its_examples_are_admitted_and_answered_so(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/preview"]["post"]
    asked = {media: content["example"] for media, content in operation["requestBody"]["content"].items()}
    told = {media: content["example"] for media, content in operation["responses"]["200"]["content"].items()}
    written = {media: dump(example) for media, example in asked.items()}

    def answer(text: str, media: str) -> httpx.Response:
        return client.post("/preview?namespace=apps", content=text, headers={"accept": media})

    assert told["application/json"]["documents"][0]["decision"] == "injected"
    assert told["application/json"] == without_script(answer(written["application/json"], "application/json").json())
    manifest = yaml.safe_load(answer(written["application/yaml"], "application/yaml").text)
    assert told["application/yaml"] == without_script(manifest)
    assert told["text/plain"] == answer(written["application/yaml"], "text/plain").text


def test_its_schemas_say_what_each_field_is(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("Answer", "Preview", "PodPreview", "Record"):
        assert schemas[name]["description"]
    assert "JSON Patch" in schemas["Preview"]["properties"]["patch"]["description"]
    assert "JSON Patch" in client.get("/docs").text


def test_its_page_needs_nothing_of_elsewhere_and_runs_nothing(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert "//" not in page.text.replace("s3://", "")
    for status in ("400", "401", "403", "413", "429", "503"):
        assert f"<th scope=row>{status}" in page.text
