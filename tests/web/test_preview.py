"""POST /preview over TLS: what it answers, to whom, and within which bounds."""

import json
import socket
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.preview.test_preview import DEPLOYMENT, POD
from tests.support import constants
from tests.support.polling import until
from tests.support.reviews import operations, review
from tests.support.webhook import SETTINGS, Webhook, running_webhook

OPEN = {**SETTINGS, "preview": {"auth": "none"}}
MANIFEST = POD.format(version="1.2.3")


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    patient = constants.program({"webhook.web.worker._SECONDS": 60})
    with running_webhook(tmp_path_factory.mktemp("webhook"), OPEN, program=patient) as running:
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
        ("a: [1]\nb: *a", 400, "line 2: the document has no anchor &a before this alias"),
        ("a:\n\tb: 1", 400, "invalid YAML: line 2"),
        (b"\x00\x01\x02", 400, "line 1 contains the control character"),
        ("", 400, "the manifest is empty"),
        (POD.format(version="1.10"), 400, "Pod my-pod: the annotation model-injector.io/version is not text"),
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

    asked = json.dumps(review(yaml.safe_load(MANIFEST)))
    with ThreadPoolExecutor(3) as threads, webhook.client() as client:
        running = [threads.submit(ask, number) for number in range(3)]
        answered = 0
        while wait(running, timeout=0.005).not_done:
            assert client.post("/mutate", content=asked).status_code == 200
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


def test_a_page_of_elsewhere_may_not_ask_in_a_visitors_name(client: httpx.Client) -> None:
    answers = {
        origin: client.post("/preview", content=MANIFEST, headers={"origin": origin})
        for origin in ("https://evil.example.com", "null", "https://localhost:8443", "http://127.0.0.1:1")
    }
    assert [answer.status_code for answer in answers.values()] == [403, 403, 200, 200]
    assert answers["http://127.0.0.1:1"].headers["cross-origin-resource-policy"] == "same-origin"


def test_an_answer_has_an_end(client: httpx.Client) -> None:
    """A few lines ask for megabytes: models times containers, in each of some templates."""
    models = "\n".join(f"              - {{model: m{number}, version: 1.0.0}}" for number in range(16))
    containers = ", ".join(f"{{name: c{number}}}" for number in range(60))
    template = f"""    - template:
        metadata:
          annotations:
            model-injector.io/models: |
{models}
        spec: {{containers: [{containers}]}}
"""
    answer = client.post(
        "/preview", content="apiVersion: ray.io/v1\nkind: RayCluster\nspec:\n  groups:\n" + 6 * template, timeout=60
    )
    assert answer.status_code == 413
    assert answer.json() == {"error": "the preview is larger than 4194304 bytes; preview a part of the manifest"}


def test_keys_that_are_no_text_are_what_kubectl_makes_of_them(client: httpx.Client) -> None:
    template = "template: {metadata: {annotations: {model-injector.io/model: m, model-injector.io/version: 1.0.0}}, "
    body = f"apiVersion: a/v1\nkind: B\nspec:\n  1: {{{template}spec: {{containers: [{{name: a}}]}}}}}}\n"
    for media in ("application/json", "application/yaml", "text/plain"):
        answer = client.post("/preview", content=body, headers={"accept": media})
        assert answer.status_code == 200, answer.text
        assert "initContainers" in answer.text


@contextmanager
def connected(webhook: Webhook) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", webhook.port), timeout=60) as plain,
        webhook.trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


def asking(body: bytes) -> bytes:
    head = f"POST /preview HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_work_ends_when_the_client_leaves(webhook: Webhook) -> None:
    heavy = (f"{MANIFEST}  x:\n" + "  - {a: b, c: d}\n" * 7000).encode()
    for _ in range(12):
        with connected(webhook) as connection:
            connection.sendall(asking(heavy))
    with webhook.client() as client:
        before = webhook.metrics()
        assert client.post("/preview", content=MANIFEST).status_code == 200
    counted = 'model_injector_previews_total{status="200"}'
    assert webhook.metrics()[counted] <= before.get(counted, 0) + 3, "the others were not worked on to their ends"


def test_a_fault_is_logged_with_its_place_and_without_the_manifest(tmp_path: Path) -> None:
    faulty = (sys.executable, "-m", "tests.support.faulty_preview")
    with running_webhook(tmp_path, OPEN, program=faulty) as webhook, webhook.client() as client:
        answer = client.post("/preview", content=MANIFEST.replace("my-pod", "my-secret-pod"))
        assert (answer.status_code, answer.json()["error"]) == (*(500, "unexpected error; see the webhook's log"),)
        (line,) = (line for line in webhook.log() if line["message"] == "unexpected error")
        assert "RuntimeError" in line["exception"]
        assert "faulty_preview.py" in line["exception"]
        assert "my-secret-pod" not in (tmp_path / "log").read_text()


def test_a_stop_in_the_midst_of_a_preview_is_told_to_its_client_and_leaves_no_process(tmp_path: Path) -> None:
    slow, reading = (sys.executable, "-m", "tests.support.slow_preview"), tmp_path / "reading"
    with running_webhook(tmp_path, OPEN, program=slow, env={"READING": str(reading)}) as webhook:
        with ThreadPoolExecutor(1) as threads, webhook.client() as client:
            asked = threads.submit(client.post, "/preview", content=MANIFEST)
            until(lambda: reading.exists() and reading.read_text().endswith("\n"))
            webhook.process.terminate()
            assert asked.result().status_code == 503
        assert webhook.process.wait(20) == 0
        until(lambda: not Path("/proc", reading.read_text().strip()).exists())
        assert not [line for line in webhook.log() if "exception" in line]


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
