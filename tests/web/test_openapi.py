"""The OpenAPI document holds, and what it says of itself works."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.preview.test_preview import DEPLOYMENT
from tests.support.api_server import running_api_server
from tests.support.webhook import SETTINGS, Webhook, running_webhook
from webhook.preview.access import TOKEN_HEADER
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
            *("--max-examples", "25", "--no-color", *arguments),
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
            run_schemathesis(webhook, "--header", "Authorization: Bearer t", "--max-examples", "10")


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
    assert schemas.keys() == {"PreviewResponse", "DocumentPreview", "PodPreview", "ErrorResponse"}
    model = schemas["DocumentPreview"]["properties"]["models"]["items"]
    assert all(schema["description"] for schema in (*schemas.values(), model))
    assert model["properties"]["version"]["description"] == "The exact version."
    assert "JSON Patch" in schemas["DocumentPreview"]["properties"]["patch"]["description"]


def test_its_fields_are_those_of_an_answer(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    answer = client.post("/preview", content=DEPLOYMENT.replace("VERSION", "1.2.3")).json()
    (document,) = answer["documents"]
    for schema, found in (
        (schemas["PreviewResponse"], answer),
        (schemas["DocumentPreview"], document),
        (schemas["PodPreview"], document["pods"][0]),
        (schemas["PodPreview"]["properties"]["models"]["items"], document["models"][0]),
    ):
        assert list(schema["properties"]) == schema["required"] == list(found)


def test_it_lists_the_errors_that_are_answered_and_no_other(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/preview"]["post"]
    errors = {"400", "401", "403", "406", "413", "429", "500", "503"}
    assert operation["responses"].keys() == {"200", *errors}
    answer = client.post("/preview", params={"namespace": "../x"}, content=b"")
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "namespace: '../x' is not a DNS label; use a name such as default"},
    )


def test_it_asks_for_a_token_only_where_one_is_needed(client: httpx.Client, tmp_path: Path) -> None:
    assert "security" not in client.get("/openapi.json").json()["paths"]["/preview"]["post"]
    with running_webhook(tmp_path, SETTINGS) as webhook, webhook.client() as other:
        document = other.get("/openapi.json").json()
    assert document["paths"]["/preview"]["post"]["security"] == [{"bearer": []}, {"behindProxy": []}]
    assert document["components"]["securitySchemes"]["behindProxy"]["name"] == TOKEN_HEADER


def test_its_examples_have_the_prefix_of_the_installation(tmp_path: Path) -> None:
    settings = {**SETTINGS, "annotationPrefix": "models.example.com"}
    with running_webhook(tmp_path, settings) as webhook, webhook.client() as client:
        text = client.get("/openapi.json").text
    assert "models.example.com/version" in text
    assert "model-injector.io" not in text
