"""`model-injector preview`: decided here, or asked of a webhook."""

import base64
import json
import os
import pty
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from tests.cli.test_cli import run
from tests.preview.test_preview import DEPLOYMENT, POD
from tests.server.auto.cluster import until
from tests.server.conftest import SETTINGS
from tests.support.api_server import running_api_server
from tests.support.webhook import Webhook, running_webhook

ADMITTED, REFUSED = POD.format(version="1.2.3"), POD.format(version="^1")
SERVICE = "/api/v1/namespaces/model-injector/services/https:model-injector:443/proxy"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/model-injector"


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    return str(file)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "manifest.yaml"
    file.write_text(ADMITTED)
    return file


def preview(config: str, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "webhook", "preview", "--config", config, "-f", "-", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (ADMITTED, 0),
        ("apiVersion: v1\nkind: Service\n", 0),
        (REFUSED, 1),
        (f"{REFUSED}---\n{ADMITTED}", 1),
        ("a: *b", 2),
    ],
)
def test_the_status_says_whether_all_is_admitted(config: str, text: str, status: int) -> None:
    assert preview(config, text).returncode == status


def test_a_pipe_gets_a_plain_diff_and_standard_error_the_remarks(config: str) -> None:
    done = preview(
        config,
        ADMITTED.replace(
            "    model-injector.io/model:", "    model-injector.io/modle: a\n    model-injector.io/model:"
        ),
    )
    assert done.stdout.startswith("--- a/Pod/default/my-pod\n+++ b/Pod/default/my-pod\n")
    assert "\033" not in done.stdout
    unknown = "unknown annotation model-injector.io/modle; did you mean model-injector.io/model?"
    assert done.stderr == f"Pod/default/my-pod: warning: {unknown}\n"


def test_a_refusal_is_on_standard_error_and_changes_nothing(config: str) -> None:
    done = preview(config, REFUSED)
    assert done.stdout == ""
    assert done.stderr.startswith("Pod/default/my-pod: refused: model my-model: version '^1' needs a catalog")


def test_where_nothing_happens_it_says_so(config: str) -> None:
    done = preview(config, "apiVersion: v1\nkind: Service\n")
    assert (done.stdout, done.stderr) == ("", "nothing to do: no pod asks for a model that it does not have\n")


def test_a_terminal_gets_colours_unless_it_asks_for_none(config: str, manifest: Path) -> None:
    def shown(**env: str) -> str:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "webhook", "preview", "--config", config, "-f", str(manifest)]
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        with subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL, env={**clean, "TERM": "xterm", **env}):
            os.close(theirs)
            text = b""
            while True:
                try:
                    text += os.read(ours, 65536)
                except OSError:  # it has hung up
                    break
        os.close(ours)
        return text.decode()

    assert "\033[32m+      volumeMounts:\033[m" in shown()
    assert "\033" not in shown(NO_COLOR="1")


def test_json_is_what_the_webhook_answers_and_a_patch_is_a_patch(config: str) -> None:
    (document,) = json.loads(preview(config, ADMITTED, "-o", "json").stdout)["documents"]
    assert json.loads(preview(config, ADMITTED, "-o", "patch").stdout) == document["patch"]
    several = json.loads(preview(config, f"{ADMITTED}---\n{DEPLOYMENT}", "-o", "patch").stdout)
    assert [(each["kind"], each["name"], each["namespace"]) for each in several] == [
        ("Pod", "my-pod", "default"),
        ("Deployment", "my-app", "ml"),
    ]
    assert several[0]["patch"] == document["patch"]


def test_yaml_is_the_manifest_with_everything_applied(config: str) -> None:
    text = preview(config, f"{ADMITTED}---\n{DEPLOYMENT.replace('VERSION', '1.2.3')}", "-o", "yaml").stdout
    pod, deployment = yaml.safe_load_all(text)
    assert pod["spec"]["initContainers"][0]["name"] == "fetch-my-model"
    assert deployment["spec"]["template"]["spec"]["initContainers"][0]["name"] == "fetch-my-model"
    assert "# the one of the guide" in text


def test_several_files_are_one_manifest(config: str, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(DEPLOYMENT.replace("VERSION", "1.2.3"))
    done = run("preview", "--config", config, "-f", str(manifest), "-f", str(tmp_path / "other.yaml"), "-o", "json")
    assert [each["kind"] for each in json.loads(done.stdout)["documents"]] == ["Pod", "Deployment"]


def test_the_namespace_is_an_option(config: str) -> None:
    assert "a/Pod/team-a/my-pod" in preview(config, ADMITTED, "-n", "team-a").stdout


def test_the_charts_values_are_a_configuration(tmp_path: Path) -> None:
    values = yaml.safe_load((Path(__file__).parents[2] / "charts" / "model-injector" / "values.yaml").read_text())
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({**values, "bucket": "from-values"}))
    assert "s3://from-values/my-model-1.2.3" in preview(str(tmp_path / "values.yaml"), ADMITTED).stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "nothing to preview: give -f FILE"),
        (("-f", "/nowhere.yaml"), "/nowhere.yaml: No such file or directory"),
        (("-f", "/"), "/: Is a directory"),
        (("-f", "/dev/null"), "the manifest is empty"),
        (("-f", "/dev/null", "-o", "xml"), "invalid choice: 'xml'"),
    ],
)
def test_bad_input_is_a_line_and_status_2(config: str, arguments: tuple[str, ...], line: str) -> None:
    done = run("preview", "--config", config, *arguments)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_settings_it_says_where_to_get_some(manifest: Path) -> None:
    done = run("preview", "-f", str(manifest))
    assert done.returncode == 2
    assert done.stderr.startswith("model-injector: no bucket is set")
    assert "--config FILE" in done.stderr


def test_a_release_of_many_objects_is_no_trouble(config: str) -> None:
    text = f"{ADMITTED}---\n" + "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n---\n" * 3000
    assert preview(config, text).returncode == 0


def test_kubectl_finds_it_as_a_plugin() -> None:
    program = Path(sys.executable).parent / "kubectl-model_injector"
    done = subprocess.run([program, "preview", "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("usage: kubectl model-injector preview")


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
        (("--server", "http://10.255.255.1"), "is plain HTTP, and no token goes over that"),
        (("--server", "nowhere"), "neither a URL"),
        (("--server", "a/b"), "the server answers 404"),
        (("--server", "--token-file", "/nowhere"), "--token-file /nowhere"),
        (("--server", "--context", "none"), "the cluster can't be asked"),
    ],
)
def test_a_server_that_cannot_be_asked_is_status_2(
    webhook: Webhook, manifest: Path, arguments: tuple[str, ...], line: str
) -> None:
    done = ask(webhook, manifest, *arguments)
    assert done.returncode == 2, done.stdout
    assert line in done.stderr
    assert "Traceback" not in done.stderr


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
            found = re.match(r"(http://127\.0\.0\.1:\d+/) until Ctrl-C", process.stdout.readline())
            assert found
            url = found[1]
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
        finally:
            process.terminate()
