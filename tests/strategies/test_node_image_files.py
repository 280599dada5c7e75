"""The files that bake models into the image of a node.

Packer and EC2 Image Builder don't run here. Their inputs are held against schemas, and the script that they run is run,
with a stand-in for the AWS CLI.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from tests.admission.conftest import annotated
from tests.strategies.node_images import LLAMA, MODEL, injector_with, manifests
from tests.support import programs
from webhook.model.artifact import Artifact
from webhook.model.source import Source

AWS = """#!/bin/sh
# Copies a folder of $STORE, as `aws s3 cp --recursive` copies a prefix, and writes down its arguments.
printf '%s\\n' "$@" >>"$CALLS"
while [ $# -gt 2 ]; do shift; done
cp -R "$STORE/${1#s3://}." "$2"
"""

Bake = Callable[..., "subprocess.CompletedProcess[str]"]


def test_image_builder_takes_the_component_and_the_recipe() -> None:
    files = manifests(MODEL).files
    model = botocore.session.get_session().get_service_model("imagebuilder")
    recipe = {**json.loads(files["image-builder-recipe.json"]), "clientToken": "x"}
    report = ParamValidator().validate(recipe, model.operation_model("CreateImageRecipe").input_shape)
    assert not report.has_errors(), report.generate_report()
    component = yaml.safe_load(files["image-builder-component.yaml"])
    assert f":component/{component['name']}/x.x.x" in recipe["components"][0]["componentArn"]
    assert re.fullmatch(r"[a-z0-9-]{3,128}", component["name"])
    assert component["schemaVersion"] == 1.0
    assert len(files["image-builder-component.yaml"]) <= 16_000
    assert "{{" not in files["image-builder-component.yaml"]  # a reference to another step
    steps = {phase["name"]: phase["steps"] for phase in component["phases"]}
    assert list(steps) == ["build", "validate"]
    for (step,) in steps.values():
        assert (step["action"], step["onFailure"]) == ("ExecuteBash", "Abort")
        (command,) = step["inputs"]["commands"]
        assert shellcheck(command) == ""


def test_dockerfiles_copy_the_files_to_the_root_and_to_the_path_of_a_pod() -> None:
    files = manifests(LLAMA).files
    assert files["Dockerfile.image-volume"].endswith("FROM scratch\nCOPY --chmod=755 . /\n")
    lines = [line for line in files["Dockerfile.application"].splitlines() if not line.startswith("#")]
    assert lines == [
        "ARG APPLICATION",
        "FROM ${APPLICATION}",
        "ARG MOUNT_PATH=/model-artifacts",
        "COPY --chmod=755 my-org/llama-3.1.0/ ${MOUNT_PATH}/my-org/llama-3.1.0/",
        "ENV MODEL_PATH=${MOUNT_PATH}/my-org/llama-3.1.0 MODEL_NAME=my-org/llama MODEL_VERSION=3.1.0",
    ]
    env = injector_with({})(annotated(model="my-org/llama", version="3.1.0"))["spec"]["containers"][0]["env"]
    assert {each["name"] for each in env} == set(re.findall(r"(MODEL_\w+)=", lines[-1]))
    assert env[0]["value"] == "/model-artifacts/my-org/llama-3.1.0"


# The script, run


def shellcheck(script: str) -> str:
    command: list[str | Path] = [programs.shellcheck(), "--shell", "sh", "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    """Runs the script for a version whose files `change` has changed in the bucket."""
    source = Source(bucket="my-ml-bucket", prefix="it's(a)!", region="eu-west-1", requester_pays=True)
    folder = tmp_path / "store" / "my-ml-bucket" / source.prefix / "my-model-1.2.3"

    def run(change: Callable[[Path], None] = lambda _: None, digest: bool = True) -> Any:
        (folder / "sub").mkdir(parents=True)
        contents = {"config.json": b"{}", "sub/weights 1.bin": b"w" * 300}
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        (folder / "SHA256SUMS").write_text("".join(f"{each}  {name}\n" for name, each in sums.items()))
        manifest = json.dumps({"files": [{"path": name, "sha256": each} for name, each in sums.items()]})
        (folder / "manifest.json").write_text(manifest)
        of_manifest = hashlib.sha256(manifest.encode()).hexdigest() if digest else None
        change(folder)
        (tmp_path / "aws").write_text(AWS)
        (tmp_path / "aws").chmod(0o755)
        artifact = Artifact("my-model", "1.2.3", source, digest=of_manifest)
        script = manifests(artifact, path=f"{tmp_path}/models").files["bake.sh"]
        assert shellcheck(script) == ""
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STORE": f"{tmp_path}/store", "CALLS": f"{tmp_path}/calls"}
        return subprocess.run(
            [programs.dash()], input=script, env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_it_downloads_a_version_that_everybody_may_read(bake: Bake, tmp_path: Path) -> None:
    done = bake(lambda folder: (folder / "config.json").chmod(0o600))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    target = tmp_path / "models" / "my-model-1.2.3"
    assert (target / "sub" / "weights 1.bin").read_bytes() == b"w" * 300
    assert (target / "config.json").stat().st_mode & 0o777 == 0o644
    options = ["--region", "eu-west-1", "--request-payer", "requester"]
    assert (tmp_path / "calls").read_text().splitlines() == [
        *("s3", "cp", "--recursive", "--only-show-errors", *options),
        "s3://my-ml-bucket/it's(a)!/my-model-1.2.3/",
        f"{target}/",
    ]


def rewrite_sums(folder: Path) -> None:
    """A file is replaced, and SHA256SUMS fits it; the manifest does not."""
    (folder / "config.json").write_bytes(b"[]")
    sums = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(b'[]').hexdigest()}  config.json\n{sums[1]}")


@pytest.mark.parametrize(
    ("change", "digest", "problem"),
    [
        (lambda folder: (folder / "config.json").write_bytes(b"[]"), True, "config.json: FAILED"),
        (lambda folder: (folder / "config.json").unlink(), True, "config.json"),
        (lambda folder: (folder / "more.bin").write_bytes(b"x"), True, "has 3 files, and SHA256SUMS lists 2"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), True, "manifest.json: FAILED"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), True, "SHA256SUMS"),
        (rewrite_sums, True, "SHA256SUMS differs from the manifest"),
        (lambda folder: (folder / "config.json").write_bytes(b"[]"), False, "config.json: FAILED"),
        (lambda folder: [path.unlink() for path in folder.rglob("*") if path.is_file()], False, "is empty"),
    ],
)
def test_a_version_that_is_not_what_was_published_stops_the_build(
    bake: Bake,
    change: Callable[[Path], None],
    digest: bool,
    problem: str,
) -> None:
    done = bake(change, digest)
    assert done.returncode != 0
    assert problem in done.stdout + done.stderr


def test_a_version_without_sums_is_baked_and_the_log_says_that_it_is_not_checked(
    bake: Bake,
) -> None:
    done = bake(lambda folder: (folder / "SHA256SUMS").unlink(), False)
    assert done.returncode == 0
    assert "has no SHA256SUMS: its files are not checked" in done.stdout
