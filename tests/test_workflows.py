"""GitHub's workflows, as far as they can be judged without running there; `scripts/check github` judges the rest."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import NEWEST_KUBERNETES

JSON = dict[str, Any]
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
JOBS = [
    pytest.param(job, content["jobs"], id=f"{workflow}-{name}")
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
]


def matrix(workflow: str) -> JSON:
    found: JSON = WORKFLOWS[workflow]["jobs"][workflow]["strategy"]["matrix"]
    return found


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


def test_a_workflow_that_another_calls_can_be_called() -> None:
    called = {
        job["uses"].removeprefix("$/.github/workflows/").removesuffix(".yml")
        for workflow in WORKFLOWS.values()
        for job in workflow["jobs"].values()
        if "uses" in job
    }
    assert called
    assert all("workflow_call" in WORKFLOWS[name][True] for name in called)  # YAML 1.1 reads `on` as true


@pytest.mark.parametrize(("job", "jobs"), JOBS)
def test_expressions_of_a_job_name_what_is_there(job: JSON, jobs: dict[str, JSON]) -> None:
    named = job.get("strategy", {}).get("matrix", {})
    known = {f"matrix.{name}" for each in (named, *named.get("include", ())) for name in each}
    needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
    known |= {f"needs.{name}.outputs.{output}" for name in needed for output in jobs[name].get("outputs", ())}
    for step in job.get("steps", ()):
        written = re.findall(r"echo \"(\w+)=.*>>\"\$GITHUB_OUTPUT\"", step.get("run", ""))
        known |= {f"steps.{step.get('id')}.outputs.{output}" for output in written}
    expressions = " ".join(re.findall(r"\$\{\{(.*?)\}\}", json.dumps(job)))
    of_actions = tuple(f"steps.{step['id']}." for step in job.get("steps", ()) if "uses" in step and "id" in step)
    found = re.findall(r"\b(?:matrix|needs|steps)\.[\w.-]+", expressions)
    assert {each for each in found if not each.startswith(of_actions)} <= known


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


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert matrix("test")["python"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_clusters_have_the_oldest_and_the_newest_kubernetes_that_the_chart_is_tested_for() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "model-injector" / "Chart.yaml").read_text())
    clusters = matrix("e2e")["include"]
    assert chart["kubeVersion"] == f">={clusters[0]['kubernetes']}.0-0"
    assert clusters[-1]["kubernetes"] == NEWEST_KUBERNETES
    assert all(each["kubectl"].startswith(f"v{each['kubernetes']}.") for each in clusters)
    assert all(f":{each['kubectl']}@" in each["node"] for each in clusters)


def test_the_published_image_gets_every_label() -> None:
    arguments = set(re.findall(r"--build-arg (\w+)=", (FOLDER / "release.yml").read_text()))
    labels = (ROOT / "Dockerfile").read_text().rpartition("LABEL ")[2]
    assert arguments == set(re.findall(r"\$\{(\w+)\}", labels))


def test_nothing_is_published_before_the_tests_have_passed() -> None:
    jobs = WORKFLOWS["release"]["jobs"]

    def before(name: str) -> set[str]:
        needs = jobs[name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*map(before, direct))

    publishing = [name for name, job in jobs.items() if "write" in job["permissions"].values()]
    assert publishing == ["image", "chart", "pypi"]
    assert all({"test", "e2e"} <= before(name) for name in publishing)


def test_each_check_can_run_before_a_commit() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {hook["entry"] for hook in local["hooks"]} == {f"scripts/check {name}" for name in checks()}
