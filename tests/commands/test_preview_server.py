"""`model-injector preview --server` and `--web`: asked of a webhook, which is not trusted with everything."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from tests.commands.conftest import ADMITTED
from tests.support.api_server import running_api_server
from tests.support.command_line import run
from tests.support.polling import until
from tests.support.webhook import SETTINGS, Webhook, running_webhook

SERVICE = "/api/v1/namespaces/model-injector/services/https:model-injector:443/proxy"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/model-injector"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """A webhook that asks a cluster, in which ann may create pods; the cluster has it as a Service."""
    folder = tmp_path_factory.mktemp("webhook")
    with running_api_server() as api:
        kubeconfig = api.kubeconfig(folder)
        with running_webhook(folder, SETTINGS, env={"KUBECONFIG": str(kubeconfig)}) as running:
            api.users = {"t": ("ann", ""), "other": ("bob", "")}
            api.rights = {("ann", "default")}
            api.services[SERVICE] = running.url
            service = {"namespace": "model-injector", "name": "model-injector"}
            api.put(CONFIGURATION, {"webhooks": [{"name": "pods.x", "clientConfig": {"service": service}}]})
            yield running


def kubeconfig_of(webhook: Webhook, folder: Path, **context: str) -> Path:
    """The webhook's kubeconfig, with more in its context."""
    found = yaml.safe_load((webhook.folder / "kubeconfig").read_text())
    found["contexts"][0]["context"].update(context)
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(found))
    return file


def test_the_namespace_is_that_of_the_kubeconfigs_context(webhook: Webhook, manifest: Path, tmp_path: Path) -> None:
    kubeconfig = str(kubeconfig_of(webhook, tmp_path, namespace="team-b"))
    done = run("preview", "-f", str(manifest), "--server", KUBECONFIG=kubeconfig)
    assert done.stderr == "model-injector: the server answers 403: ann may not create pods in team-b\n"
    done = run("preview", "-f", str(manifest), "--server", "-n", "default", KUBECONFIG=kubeconfig)
    assert done.returncode == 0


@pytest.mark.parametrize("text", ["a: [", "- a", "text", "clusters: 1", "", "current-context: x"])
def test_a_broken_kubeconfig_is_status_2(manifest: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    done = run("preview", "-f", str(manifest), "--server", KUBECONFIG=str(tmp_path / "kubeconfig"))
    assert done.returncode == 2
    assert done.stderr.startswith("model-injector: the cluster does not answer: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_token_is_shown_to_nobody_who_reads_errors(webhook: Webhook, manifest: Path, tmp_path: Path) -> None:
    for text in ("secret-a\nsecret-b\n", "secret-\N{SNOWMAN}", ""):
        (tmp_path / "token").write_text(text)
        done = ask(webhook, manifest, "--server", "--token-file", str(tmp_path / "token"))
        assert done.returncode == 2
        assert done.stderr.endswith("token: the file has to contain one token and nothing else\n")


@pytest.mark.parametrize("content", [{"webhooks": 7}, {"webhooks": [{}]}, {}, {"webhooks": [{"clientConfig": {}}]}])
def test_a_configuration_without_a_service_is_status_2(manifest: Path, tmp_path: Path, content: dict[str, Any]) -> None:
    with running_api_server() as api:
        api.put(CONFIGURATION, content)
        done = run("preview", "-f", str(manifest), "--server", KUBECONFIG=str(api.kubeconfig(tmp_path)))
    assert done.returncode == 2
    assert "names no Service; give --server NAMESPACE/SERVICE" in done.stderr


@pytest.mark.parametrize(("status", "problem"), [(403, "may not be read by this user"), (404, "does not exist")])
def test_a_configuration_that_cannot_be_read_is_status_2(
    manifest: Path, tmp_path: Path, status: int, problem: str
) -> None:
    with running_api_server() as api:
        api.answer = status
        done = run("preview", "-f", str(manifest), "--server", KUBECONFIG=str(api.kubeconfig(tmp_path)))
    assert done.returncode == 2
    assert done.stderr == (
        f"model-injector: the MutatingWebhookConfiguration model-injector {problem}; give --server NAMESPACE/SERVICE\n"
    )


def test_what_the_api_server_itself_denies_is_told_in_its_words(manifest: Path, tmp_path: Path) -> None:
    with running_api_server() as api:
        api.answer = 403
        kubeconfig = str(api.kubeconfig(tmp_path))
        done = run("preview", "-f", str(manifest), "--server", "model-injector/model-injector", KUBECONFIG=kubeconfig)
    assert done.stderr == "model-injector: the server answers 403: pods is forbidden\n"


DOCUMENT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "name": "\x1b[1m",
    "namespace": "default",
    "allowed": True,
    "decision": "injected",
    "reason": "Injected",
    "message": "",
    "warnings": ["\x1b]0;a\x07"],
    "models": [],
    "patch": [],
    "manifest": {},
    "diff": "--- a\n+++ b\n+\x1b[2J\n",
    "pods": [],
}
ODD_PATCH = [{"op": "add", "path": "/nowhere/-/x", "value": 1}]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (json.dumps({"documents": [DOCUMENT]}), 0),
        (json.dumps({"documents": []}), 2),
        (json.dumps({"documents": [DOCUMENT, DOCUMENT]}), 2),
        (json.dumps({"documents": [{**DOCUMENT, "patch": ODD_PATCH}]}), 2),
        (json.dumps({"documents": [{**DOCUMENT, "patch": [{}]}]}), 2),
        ("[" * 100_000, 2),
        ("<html>", 2),
    ],
)
@pytest.mark.parametrize("output", ["diff", "yaml"])
def test_a_server_is_not_trusted_with_the_terminal_nor_the_status(
    manifest: Path, answer: str, status: int, output: str
) -> None:
    with answering(answer.encode()) as url:
        done = run("preview", "-f", str(manifest), "--server", url, "-o", output)
    is_odd = "nowhere" in answer or 'patch": [{}]' in answer
    assert done.returncode == (0 if is_odd and output == "diff" else status), done.stderr
    assert "Traceback" not in done.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", done.stdout + done.stderr)


@contextmanager
def answering(content: bytes) -> Iterator[str]:
    """A server on loopback that gives everyone this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def ask(webhook: Webhook, manifest: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("preview", "-f", str(manifest), *arguments, KUBECONFIG=str(webhook.folder / "kubeconfig"))


@pytest.mark.parametrize("target", ["URL", "model-injector/model-injector", None])
def test_a_webhook_is_asked_with_the_kubeconfigs_credentials(
    webhook: Webhook, manifest: Path, target: str | None
) -> None:
    """At a URL, or through the API server, which keeps `Authorization` to itself."""
    where = [webhook.url, "--ca", str(webhook.folder / "ca.crt")] if target == "URL" else [target] if target else []
    done = ask(webhook, manifest, "--server", *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "+  initContainers:" in done.stdout


def test_another_token_may_be_shown(webhook: Webhook, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("other\n")
    done = ask(webhook, manifest, "--server", "--token-file", str(tmp_path / "token"))
    assert done.returncode == 2
    assert done.stderr == "model-injector: the server answers 403: bob may not create pods in default\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--server", "https://127.0.0.1:1"), "https://127.0.0.1:1 does not answer"),
        (("--server", "http://10.255.255.1"), "is plain HTTP, over which no token is sent"),
        (("--server", "nowhere"), "neither a URL"),
        (("--server", "http://["), "neither a URL"),
        (("--server", "https:///path"), "neither a URL"),
        (("--server", "a/b"), "the server answers 404"),
        (("--server", "--token-file", "/nowhere"), "--token-file /nowhere"),
        (("--server", "--context", "none"), "the cluster does not answer"),
    ],
)
def test_a_server_that_cannot_be_asked_is_status_2(
    webhook: Webhook, manifest: Path, arguments: tuple[str, ...], line: str
) -> None:
    done = ask(webhook, manifest, *arguments)
    assert done.returncode == 2, done.stdout
    assert line in done.stderr
    assert "Traceback" not in done.stderr


def raw_status(url: str, path: str) -> int:
    """The status of a path that is sent as it is: httpx would normalize it."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_the_page_opens_on_loopback_with_the_manifest(
    webhook: Webhook, config: str, manifest: Path, tmp_path: Path, where: str
) -> None:
    """With a configuration of one's own, or the cluster's through the kubeconfig."""
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf %s "$1" >{tmp_path}/opened.part && mv {tmp_path}/opened.part {tmp_path}/opened\n'
    )
    browser.chmod(0o755)
    source = ("--config", config) if where == "here" else ("--server",)
    command = [sys.executable, "-m", "webhook", "preview", "--web", "-f", str(manifest), *source]
    env = {**os.environ, "KUBECONFIG": str(webhook.folder / "kubeconfig"), "BROWSER": f"{browser} %s"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout
            found = re.match(r"(http://127\.0\.0\.1:\d+/)([\w-]{20,}/) until Ctrl-C", process.stdout.readline())
            assert found
            url = found[1] + found[2]
            page = httpx.get(url, trust_env=False)
            assert page.headers["content-type"].startswith("text/html")
            assert "default-src 'none'" in page.headers["content-security-policy"]
            answer = httpx.post(f"{url}preview", content=ADMITTED, trust_env=False, timeout=30)
            assert answer.json()["documents"][0]["decision"] == "injected"
            until((tmp_path / "opened").exists)
            fragment = parse_qs(urlsplit((tmp_path / "opened").read_text()).fragment)
            packed = base64.urlsafe_b64decode(fragment["m"][0] + "==")
            assert zlib.decompress(packed, wbits=-zlib.MAX_WBITS).decode() == ADMITTED
            rebound = httpx.get(url, headers={"host": "evil.example.com"}, trust_env=False)
            assert rebound.status_code == 403
            secret = found[2]
            others = [
                "/",
                "/preview",
                "/guess/",
                f"/{secret}..",
                f"/{secret}%2e%2e",
                f"/{secret}.",
                f"/{secret}a/../..",
            ]
            assert {raw_status(found[1], path) for path in others} == {404}
        finally:
            process.terminate()
