"""`model-injector preview`, decided here."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.commands.conftest import ADMITTED
from tests.preview.test_preview import DEPLOYMENT, POD
from tests.support.command_line import run

REFUSED = POD.format(version="^1")


def preview(config: str, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("preview", "--config", config, "-f", "-", *arguments, stdin=text)


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
    assert (done.stdout, done.stderr) == (
        "",
        "nothing to inject: no pod of the manifest asks for a model, or all pods have their models\n",
    )


def test_pods_that_a_controller_makes_are_not_nothing(config: str) -> None:
    annotations = "{model-injector.io/model: my-model, model-injector.io/version: 1.2.3}"
    done = preview(
        config,
        "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: {name: s}\n"
        f"spec: {{driver: {{annotations: {annotations}}}}}\n",
    )
    assert (done.stdout, done.returncode) == ("", 0)
    assert done.stderr.startswith("SparkApplication/default/s: warning: the pods of /spec/driver get the model when")
    assert "nothing to inject" not in done.stderr


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


def test_several_files_may_have_several_encodings(config: str, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_bytes(DEPLOYMENT.replace("VERSION", "1.2.3").encode("utf-16"))
    done = run("preview", "--config", config, "-f", str(manifest), "-f", str(tmp_path / "other.yaml"), "-o", "json")
    assert [each["kind"] for each in json.loads(done.stdout)["documents"]] == ["Pod", "Deployment"]


def test_the_namespace_is_an_option(config: str) -> None:
    assert "a/Pod/team-a/my-pod" in preview(config, ADMITTED, "-n", "team-a").stdout


def test_the_charts_values_are_a_configuration(tmp_path: Path) -> None:
    values = yaml.safe_load((Path(__file__).parents[2] / "charts" / "model-injector" / "values.yaml").read_text())
    (tmp_path / "values.yaml").write_text(
        yaml.safe_dump({**values, "config": {**values["config"], "bucket": "from-values"}})
    )
    assert "s3://from-values/my-model-1.2.3" in preview(str(tmp_path / "values.yaml"), ADMITTED).stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "nothing to preview: give -f FILE"),
        (("-f", "/nowhere.yaml"), "/nowhere.yaml: No such file or directory"),
        (("-f", "/"), "/: Is a directory"),
        (("-f", "/dev/null"), "the manifest is empty"),
        (("-f", "/dev/null", "-o", "xml"), "invalid choice: 'xml'"),
        (("-f", "/dev/null", "-n", "../x"), "--namespace '../x' is not a DNS label"),
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


def test_of_several_templates_the_one_that_is_refused_is_named(config: str) -> None:
    template = "template: {metadata: {annotations: {model-injector.io/model: m, model-injector.io/version: %s}}, "
    spec = "spec: {containers: [{name: a}]}}"
    head = f"{{{template % '1.0.0'}{spec}}}"
    worker = f"{{{template % '^1'}{spec}}}"
    text = (
        f"apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {{name: r}}\nspec:\n  head: {head}\n  worker: {worker}\n"
    )
    done = preview(config, text)
    assert done.returncode == 1
    assert done.stderr.startswith("RayCluster/default/r: refused: model m: version '^1' needs a catalog")
    assert done.stderr.endswith("such as 1.2.3 (/spec/worker/template)\n")


def test_what_is_written_can_be_read_again(config: str) -> None:
    labels = {"a": "yes", "b": "1e3", "c": "1:30"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"containers": [{"name": "app"}]},
        "metadata": {
            "name": "on",
            "labels": labels,
            "annotations": {"model-injector.io/model": "y", "model-injector.io/version": "2026"},
        },
    }
    written = preview(config, json.dumps(pod), "-o", "yaml").stdout
    assert yaml.safe_load(written)["metadata"]["labels"] == labels
    again = preview(config, written)
    assert (again.returncode, again.stdout) == (0, "")


def test_a_reader_that_has_enough_is_no_fault(config: str, manifest: Path) -> None:
    command = f"{sys.executable} -m webhook preview --config {config} -f {manifest} -o json"
    script = f'{command} | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[0] == "{"
    assert done.stdout.splitlines()[-1] in ("0", "141")  # as soon as head has gone, or before
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["-o", "diff"], ["-o", "json"], ["--help"]])
def test_a_full_disk_is_a_fault_and_no_refusal(config: str, manifest: Path, arguments: list[str]) -> None:
    assert "PYTHONUNBUFFERED" not in os.environ  # so that it is found when the output is flushed
    done = run_on_a_full_disk("preview", "--config", config, "-f", str(manifest), *arguments)
    assert done == (2, "model-injector: cannot write to standard output: No space left on device\n")


def test_a_full_disk_is_a_fault_where_nothing_is_buffered(config: str, manifest: Path) -> None:
    done = run_on_a_full_disk("preview", "--config", config, "-f", str(manifest), PYTHONUNBUFFERED="1")
    assert done == (2, "model-injector: cannot write to standard output: No space left on device\n")


def run_on_a_full_disk(*arguments: str, **env: str) -> tuple[int, str]:
    """The exit status, and what stands on standard error."""
    command, every = [sys.executable, "-m", "webhook", *arguments], {**os.environ, **env}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=every, check=False
        )
    return done.returncode, done.stderr


def test_a_name_steers_no_terminal(config: str) -> None:
    text = ADMITTED.replace("name: my-pod", 'name: "a\\e]0;b\\a\\n::error::c"')
    for each in (text, text.replace("1.2.3", "^1"), text.replace("1.2.3", "1")):
        done = preview(config, each)
        assert not re.search(r"[\x00-\x08\x0b-\x1f]|^::", done.stdout + done.stderr, re.MULTILINE)


def test_a_release_of_many_objects_is_no_trouble(config: str) -> None:
    text = f"{ADMITTED}---\n" + "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n---\n" * 3000
    assert preview(config, text).returncode == 0


def test_kubectl_finds_it_as_a_plugin() -> None:
    program = Path(sys.executable).parent / "kubectl-model_injector"
    done = subprocess.run([program, "preview", "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("usage: kubectl model-injector preview")
