"""The script of `helm test`, against an API server that has the webhook, or has not."""

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.admission.conftest import Injector
from tests.chart.conftest import CHART, render
from tests.support.certificates import throwaway_certificate
from tests.support.known import Known, known_settings
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.admission.result import AdmissionResult
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.resolution import VersionKey
from webhook.kubernetes.pod import decode
from webhook.settings import Settings

SCRIPT = CHART / "files" / "send_pod.py"


class ApiServer(HTTPServer):
    has_webhook = True
    decide: Callable[[Any], AdmissionResult] = Injector(Settings(bucket="my-ml-bucket")).decide
    asked: Any = None


class Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        pass

    def do_POST(self) -> None:
        pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked = (self.path, self.headers["Authorization"], pod)
        injection = self.server.decide(pod)
        status, answer = 201, apply(pod, injection.operations) if self.server.has_webhook else pod
        if injection.decision == "refused":
            status, answer = 422, {"kind": "Status", "message": injection.message}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    certificate = throwaway_certificate(tmp_path, "127.0.0.1")
    (tmp_path / "ca.crt").write_text(certificate.authority)
    (tmp_path / "token").write_text("secret-token")
    with ApiServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(api: ApiServer, folder: Path, **annotations: str) -> subprocess.CompletedProcess[str]:
    text = SCRIPT.read_text().replace("/var/run/secrets/kubernetes.io/serviceaccount", str(folder))
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.server_port)}
    more = json.dumps({f"model-injector.io/{name}": value for name, value in annotations.items()})
    command = [sys.executable, "-I", "-c", text, "apps", "model-injector.io", "default", more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def test_a_pod_that_comes_back_with_its_model_is_a_success(api: ApiServer, tmp_path: Path) -> None:
    done = run(api, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "its model by s3-init" in done.stdout
    assert "MODEL_PATH=/model-artifacts/helm-test-0.0.0" in done.stdout
    path, authorization, _ = api.asked
    assert path == "/api/v1/namespaces/apps/pods?dryRun=All"
    assert authorization == "Bearer secret-token"


def test_a_pod_that_comes_back_as_it_was_is_a_failure(api: ApiServer, tmp_path: Path) -> None:
    api.has_webhook = False
    done = run(api, tmp_path)
    assert done.returncode == 1
    assert "the pod came back without its model" in done.stderr


def test_a_refusal_is_told_in_the_api_servers_words(api: ApiServer, tmp_path: Path) -> None:
    done = run(api, tmp_path, source="nowhere")
    assert done.returncode == 1
    assert "the API server refuses the pod: annotation model-injector.io/source" in done.stderr


def test_other_names_of_variables_are_no_failure(api: ApiServer, tmp_path: Path) -> None:
    api.decide = Injector(Settings(bucket="my-ml-bucket", defaults={"env_prefix": "none"})).decide
    done = run(api, tmp_path)
    assert done.returncode == 0, done.stderr


def test_an_api_server_that_does_not_answer_is_a_line(api: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(throwaway_certificate(tmp_path, "other").authority)
    done = run(api, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("the API server does not answer: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_catalog_that_knows_no_such_model_has_answered(api: ApiServer, tmp_path: Path) -> None:
    settings = known_settings()
    catalog = Known(settings, {"my-model": ("1.2.3",)})
    catalog.cache(VersionKey("default", "helm-test", "0.0.0"), VersionStatus("absent"))
    api.decide = lambda pod: inject(decode(json.dumps(pod).encode()), "apps", settings, catalog)
    done = run(api, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the webhook has answered, and refuses what there is none of, as it should" in done.stdout


def test_it_is_what_the_chart_runs() -> None:
    container = render()["Pod", "model-injector-test"]["spec"]["containers"][0]
    assert container["command"] == ["python3", "-c"]
    assert container["args"] == [SCRIPT.read_text(), "default", "model-injector.io", "default", "{}"]
