"""The job of docs/preview.md, run as its runner would: `docker` is a stand-in, helm and the preview are real."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.preview.test_preview import DEPLOYMENT
from tests.support.programs import helms

PAGE = Path(__file__).parents[2] / "docs" / "preview.md"
DOCKER = """#!/bin/sh
# The image's program, with the file that is mounted where the image would have it.
while [ "$1" != preview ]; do shift; done
for word in "$@"; do shift; [ "$word" = /values.yaml ] && word=values.yaml; set -- "$@" "$word"; done
exec "$PYTHON" -m webhook "$@"
"""


def step(name: str) -> str:
    """What a step of the job runs."""
    (text,) = (block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "jobs:" in block)
    steps = yaml.safe_load(text)["jobs"]["preview"]["steps"]
    (found,) = (each["run"] for each in steps if each.get("name") == name)
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize(("version", "status"), [("1.2.3", "0"), ("^1", "1")])
def test_a_pull_request_gets_the_diff_as_a_comment_and_its_verdict(tmp_path: Path, version: str, status: str) -> None:
    templates = tmp_path / "charts" / "my-app" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "Chart.yaml").write_text("{apiVersion: v2, name: my-app, version: 0.1.0}")
    (templates / "app.yaml").write_text(DEPLOYMENT.replace("VERSION", version))
    (tmp_path / "values.yaml").write_text("{bucket: my-ml-bucket, replicaCount: 2}")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    (programs / "helm").symlink_to(helms()["newest"])
    env = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(PAGE.parents[1]),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    subprocess.run(["/bin/bash", "-e", "-c", step("Preview")], cwd=tmp_path, env=env, timeout=60, check=True)
    assert (tmp_path / "output").read_text() == f"status={status}\n"
    comment = (tmp_path / "comment.md").read_text()
    assert ("+      initContainers:" in comment) == (status == "0")
    assert ("refused: model my-model: version '^1' needs a catalog" in comment) == (status == "1")
    assert "--body-file comment.md" in step("Comment")
    assert step("Verdict") == 'exit "${{ steps.preview.outputs.status }}"'
