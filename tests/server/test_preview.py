"""POST /preview over TLS: what it answers, to whom, and within which bounds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from tests.preview.test_preview import DEPLOYMENT, POD
from tests.server.conftest import SETTINGS
from tests.support.reviews import operations, review
from tests.support.webhook import Webhook, running_webhook

OPEN = {**SETTINGS, "preview": {"auth": "none"}}
MANIFEST = POD.format(version="1.2.3")


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with running_webhook(tmp_path_factory.mktemp("webhook"), OPEN) as running:
        yield running


def test_the_patch_is_the_one_that_a_pod_gets(client: httpx.Client) -> None:
    answer = client.post("/preview", content=MANIFEST)
    assert answer.headers["content-type"] == "application/json"
    (document,) = answer.json()["documents"]
    asked = client.post("/mutate", json=review(yaml.safe_load(MANIFEST), "default")).json()
    assert document["patch"] == operations(asked)
    assert list(document)[:4] == ["apiVersion", "kind", "name", "namespace"]


@pytest.mark.parametrize(
    ("accept", "media", "start"),
    [
        (None, "application/json", '{"documents":'),
        ("*/*", "application/json", '{"documents":'),
        ("application/yaml", "application/yaml", "apiVersion: v1\n"),
        ("text/x-yaml, */*;q=0.1", "application/yaml", "apiVersion: v1\n"),
        ("text/plain", "text/plain; charset=utf-8", "--- a/Pod/default/my-pod\n"),
        ("application/json;q=0.5, text/*", "text/plain; charset=utf-8", "--- a/Pod/default/my-pod\n"),
    ],
)
def test_the_client_chooses_the_format(client: httpx.Client, accept: str | None, media: str, start: str) -> None:
    answer = client.post("/preview", content=MANIFEST, headers={"accept": accept} if accept else {})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.text.startswith(start)


def test_the_namespace_is_the_documents_own_or_the_one_asked_for(client: httpx.Client) -> None:
    text = f"{MANIFEST}---\n{DEPLOYMENT.replace('VERSION', '1.2.3')}"
    answer = client.post("/preview", params={"namespace": "team-a"}, content=text).json()
    assert [document["namespace"] for document in answer["documents"]] == ["team-a", "ml"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("a: &a [1]\nb: *a", 400, "line 2: the alias *a is not expanded here; write it out"),
        ("a:\n\tb: 1", 400, "not YAML: line 2"),
        (b"\x00\x01\x02", 400, "the manifest is not text"),
        ("", 400, "the manifest is empty"),
        (POD.format(version="1.10"), 400, "Pod my-pod: the annotation model-injector.io/version is no text"),
        ("apiVersion: v1\nkind: Pod\n---\n" * 1000, 413, "more than 500 documents"),
        (b"#" * 600_000, 413, "larger than 524288 bytes"),
        (f"{POD.format(version='1.2.3')}---\n" * 201, 413, "more than 100 models"),
    ],
)
def test_bad_input_is_told_so(client: httpx.Client, body: str | bytes, status: int, error: str) -> None:
    answer = client.post("/preview", content=body)
    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert client.post("/preview", content=MANIFEST).status_code == 200, "the next one is answered"


def test_a_format_that_there_is_not_and_a_namespace_that_cannot_be(client: httpx.Client) -> None:
    assert client.post("/preview", content=MANIFEST, headers={"accept": "image/png"}).status_code == 406
    assert client.post("/preview", params={"namespace": "../x"}, content=MANIFEST).status_code == 400
    assert client.get("/preview").status_code == 405


def test_open_previews_are_for_this_machine_alone(client: httpx.Client) -> None:
    answer = client.post("/preview", content=MANIFEST, headers={"host": "evil.example.com"})
    assert answer.status_code == 403
    assert client.post("/mutate", json=review({"spec": {}}), headers={"host": "x.svc"}).status_code == 200


def test_admission_goes_on_beside_the_largest_previews(webhook: Webhook) -> None:
    """Their text is worked on in a process of its own: /mutate in the same seconds is answered as ever."""
    large = f"{MANIFEST}  x:\n" + "  - a\n" * 49_000

    def ask(_: int) -> int:
        with webhook.client() as client:
            return client.post("/preview", content=large, timeout=120).status_code

    with ThreadPoolExecutor(3) as threads, webhook.client() as client:
        running = [threads.submit(ask, number) for number in range(3)]
        answered = 0
        while not all(one.done() for one in running):
            assert client.post("/mutate", json=review(yaml.safe_load(MANIFEST))).status_code == 200
            answered += 1
    assert {one.result() for one in running} <= {200, 413}
    assert answered > 100, "it was not held up for seconds"


def test_the_log_and_the_metrics_tell_of_previews_and_nothing_of_manifests(webhook: Webhook) -> None:
    with webhook.client() as client:
        client.post("/preview", content=MANIFEST.replace("my-pod", "my-secret-pod"))
    assert "my-secret-pod" not in (webhook.folder / "log").read_text()
    (line, *_) = (line for line in reversed(webhook.log()) if line["message"] == "preview")
    assert (line["status"], line["user"], line["documents"]) == (200, "anyone", 1)
    assert webhook.metrics()['model_injector_previews_total{status="200"}'] > 0


def test_openness_has_to_be_on_loopback_or_meant(tmp_path: Path) -> None:
    everywhere = {**OPEN, "server": {"host": ""}}
    with (
        pytest.raises(RuntimeError, match=r"set server\.host to 127\.0\.0\.1, or preview\.force to true"),
        running_webhook(tmp_path, everywhere),
    ):
        pass
    forced = {**everywhere, "preview": {"auth": "none", "force": True}}
    with running_webhook(tmp_path, forced) as webhook, webhook.client() as client:
        assert client.post("/preview", content=MANIFEST, headers={"host": "x.svc"}).status_code == 200
