"""The README's demo."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-u", str(ROOT / "scripts" / "demo.py"), *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)


def lasting(output: str) -> str:
    """The demo's output without what is new in each run."""
    for changing in (r":\d{4,5}\b", r"/\S*model-injector-demo-\w+", r'"seconds":\d+'):
        output = re.sub(changing, "…", output)
    return output


def test_the_readme_shows_what_the_demo_prints() -> None:
    done = demo()
    assert done.returncode == 0, done.stderr
    shown = re.search(r"\$ scripts/demo\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    assert lasting(shown[1]) == lasting(done.stdout)


def test_the_demo_runs_the_way_of_any_manifest() -> None:
    done = demo(str(ROOT / "examples" / "several-models.yaml"))
    assert done.returncode == 0, done.stderr
    assert "/models/encoder/model.safetensors" in done.stdout
    assert "/models/ranker/model.safetensors" in done.stdout


def test_a_failure_of_the_demo_is_a_status_and_a_line(tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    for content, line in (
        ("kind: Pod", "is not a Pod or a workload"),
        (
            "{kind: Pod, metadata: {annotations: {a: b}}, spec: {containers: [{name: app}]}}",
            "the webhook added no init container",
        ),
        (
            "{kind: Pod, metadata: {annotations: {model-injector.io/model: ../x}}, spec: {containers: [{name: app}]}}",
            "the pod is refused: annotation model-injector.io/model",
        ),
    ):
        manifest.write_text(content)
        done = demo(str(manifest))
        assert done.returncode == 1, content
        assert line in done.stderr.splitlines()[-1]
