"""GitHub's workflows, as far as they can be judged without running there; `scripts/check github` judges the rest."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yml"))}
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
RUNS = [
    pytest.param(step["run"], id=f"{workflow}-{name}-{step['name']}")
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
    for step in job.get("steps", ())
    if "run" in step
]


def checks() -> set[str]:
    """The names that scripts/check takes."""
    script = (ROOT / "scripts" / "check").read_text()
    (names,) = re.findall(r"^\[\[ \$# -gt 0 \]\] \|\| set -- (.*)$", script, re.MULTILINE)
    return set(names.split())


def test_every_action_is_pinned_by_its_commit_with_the_version_in_words_and_once() -> None:
    lines = re.findall(r"uses: (.*)$", "\n".join(file.read_text() for file in FOLDER.iterdir()), re.MULTILINE)
    others = {line for line in lines if not line.startswith("$/")}
    assert [line for line in others if not PINNED.fullmatch(line)] == []
    assert len(others) == len({line.partition("@")[0] for line in others})


@pytest.mark.parametrize("script", RUNS)
def test_a_step_calls_scripts_that_exist_and_its_shell_is_sound(script: str, tmp_path: Path) -> None:
    for name in re.findall(r"(?:scripts|\.ci)/[\w-]+", script):
        assert os.access(ROOT / name, os.X_OK), name
    (tmp_path / "step").write_text(script)
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [program, "--shell", "bash", tmp_path / "step"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_each_check_can_run_before_a_commit() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {hook["entry"] for hook in local["hooks"]} == {f"scripts/check {name}" for name in checks()}
