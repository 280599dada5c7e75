"""docs/quick-start.md, followed to the letter: its files, its commands, and what they print."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.chart.conftest import CHART, helm
from tests.support import moto_s3
from tests.support.programs import running_server

PAGE = (Path(__file__).parents[2] / "docs" / "quick-start.md").read_text()
STEPS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with the bucket of the page. A process of its own, as other tests have a bucket of this name too."""
    command, log = (sys.executable, "-m", "moto.server", "--port", "0"), tmp_path_factory.mktemp("moto") / "log"
    with running_server(command, ready=re.compile(r"Running on (http://\S+)"), log=log, env=dict(os.environ)) as url:
        httpx.put(f"{url}/my-ml-bucket", trust_env=False).raise_for_status()
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder, with the files of the page."""
    for name, content in re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(content)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "model-injector").write_text(f'#!/bin/sh\nexec {sys.executable} -m webhook "$@"\n')
    (programs / "model-injector").chmod(0o755)
    return tmp_path


def blocks(*words: str) -> list[str]:
    """The blocks of the page with a command that has one of these words."""
    return [block for block in STEPS if any(word in block for word in words)]


@pytest.mark.parametrize("block", blocks("model-injector preview", "model-injector publish"))
def test_a_command_of_the_page_prints_what_the_page_shows(block: str, folder: Path, s3: str) -> None:
    lines = block.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MODEL_INJECTOR_", "AWS_"))},
        **moto_s3.CREDENTIALS,
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MODEL_INJECTOR_ENDPOINT_URL": s3,
    }
    shell = ["/bin/bash", "-c", "\n".join(commands)]
    done = subprocess.run(shell, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ("refused" in block), done.stderr
    printed = iter((done.stdout + done.stderr).splitlines())
    for line in lines:
        if not line.startswith("$ ") and line != "…":
            shown = line.removesuffix("…")
            assert any(each == line or (shown != line and each.startswith(shown)) for each in printed), (
                line
            )  # in this order


def test_helm_takes_the_values_of_the_page_and_the_arguments_of_its_install(folder: Path) -> None:
    (install,) = (line for block in blocks("helm install") for line in block.splitlines() if "helm install" in line)
    release, chart, *options = shlex.split(install.removeprefix("$ helm install "))
    assert chart == "charts/model-injector"
    options[options.index("values.yaml")] = str(folder / "values.yaml")
    options.remove("--create-namespace")
    objects = list(yaml.safe_load_all(helm("template", release, CHART, *options)))
    (deployment,) = (each for each in objects if each and each["kind"] == "Deployment")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.startswith("registry.example.com/model-injector:")


def test_the_demo_of_the_page_is_that_of_the_readme() -> None:
    assert blocks("scripts/demo") == ["$ scripts/demo\n"]
