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


GH = """#!/bin/sh
# Prints what a list of comments is asked for, and writes the rest down.
case "$*" in
  *--paginate*) printf '%s' "$OURS" ;;
  *) printf '%s\\n' "$*" >>calls ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a chart and an installation's values, and the programs that the job runs."""
    templates = tmp_path / "charts" / "my-app" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "Chart.yaml").write_text("{apiVersion: v2, name: my-app, version: 0.1.0}")
    (tmp_path / "values.yaml").write_text("{config: {bucket: my-ml-bucket}, replicaCount: 2}")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("docker", DOCKER), ("gh", GH)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (programs / "helm").symlink_to(helms()["newest"])
    return tmp_path


def run_step(checkout: Path, name: str, **more: str) -> None:
    env = {
        **os.environ,
        "PATH": f"{checkout}/bin:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(PAGE.parents[1]),
        "GITHUB_OUTPUT": str(checkout / "output"),
        **more,
    }
    subprocess.run(["/bin/bash", "-e", "-c", step(name)], cwd=checkout, env=env, timeout=60, check=True)


def commented(checkout: Path, manifest: str) -> str:
    """The comment on a change that makes the chart this manifest."""
    (checkout / "charts" / "my-app" / "templates" / "app.yaml").write_text(manifest)
    run_step(checkout, "Preview")
    return (checkout / "comment.md").read_text()


@pytest.mark.parametrize(("version", "status"), [("1.2.3", "0"), ("^1", "1")])
def test_a_pull_request_gets_the_diff_as_a_comment_and_its_verdict(checkout: Path, version: str, status: str) -> None:
    comment = commented(checkout, DEPLOYMENT.replace("VERSION", version))
    assert (checkout / "output").read_text() == f"status={status}\n"
    assert comment.startswith("<!-- model-injector -->\n")
    assert ("+      initContainers:" in comment) == (status == "0")
    assert ("refused: model my-model: version '^1' needs a catalog" in comment) == (status == "1")
    assert "are shown." not in comment
    assert step("Verdict") == 'exit "${{ steps.preview.outputs.status }}"'


def test_a_long_diff_is_cut_at_a_line_and_says_so_within_what_a_comment_may_hold(checkout: Path) -> None:
    label = f"      häßlich: {'ä' * 300}\n      a: ~~~~~~\n"
    deployment = DEPLOYMENT.replace("VERSION", "1.2.3").replace("    metadata:\n", f"    metadata:\n{label}", 1)
    comment = commented(checkout, f"---\n{deployment}" * 12)
    assert len(comment) < 65_536
    fences = [line for line in comment.splitlines() if line.startswith("~" * 60)]
    assert fences == ["~" * 60 + "diff", "~" * 60]
    assert comment.splitlines()[-1].startswith("Only the first 250 lines of ")


@pytest.mark.parametrize(
    ("ours", "call"),
    [
        ("", "api --method POST repos/me/it/issues/12/comments --field body=@comment.md"),
        ("77\n78\n", "api --method PATCH repos/me/it/issues/comments/77 --field body=@comment.md"),
    ],
)
def test_there_is_one_comment_however_often_the_change_is_pushed(checkout: Path, ours: str, call: str) -> None:
    run_step(checkout, "Comment", OURS=ours, COMMENTS="repos/me/it/issues/12/comments")
    assert (checkout / "calls").read_text() == f"{call}\n"
