"""The commands that introduce a way."""

import json
import shlex
from typing import Any

import pytest

from tests.advice.situations import situation
from tests.support.command_line import run
from webhook.advice.recommend import recommend
from webhook.advice.situation import Names
from webhook.advice.ways import WAYS

NAMES = Names(model="my-model", version="1.2.3", folder="my-model-1.2.3", namespace="apps")
PUBLISH = "model-injector publish DIR my-model 1.2.3"
POLICY = "model-injector iam-policy my-model"
PULL = "model-injector pull my-model@1.2.3 models"
COPY = "echo 'COPY models/my-model-1.2.3 /model-artifacts/my-model-1.2.3' >> Dockerfile"
BUILD = "docker build -t REGISTRY/APP:TAG ."
ADDON = "aws eks create-addon --cluster-name CLUSTER --addon-name aws-mountpoint-s3-csi-driver"


def manifests(strategy: str, rest: str = "") -> str:
    return f"model-injector manifests {strategy} my-model@1.2.3 --namespace apps{rest}"


def annotate(strategy: str) -> str:
    annotations = (
        f'{{"model-injector.io/model":"my-model","model-injector.io/version":"1.2.3",'
        f'"model-injector.io/strategy":"{strategy}"}}'
    )
    patch = f'{{"spec":{{"template":{{"metadata":{{"annotations":{annotations}}}}}}}}}'
    return f"kubectl -n apps patch deployment APP --type merge -p '{patch}'"


def commands(way: str, names: Names = NAMES, **changes: Any) -> tuple[str, ...]:
    return next(each.commands for each in recommend(situation(**changes), names).ways if each.name == way)


@pytest.mark.parametrize(
    ("way", "changes", "expected"),
    [
        ("s3-init", {}, [PUBLISH, POLICY, annotate("s3-init")]),
        ("node-cache", {}, [PUBLISH, POLICY, annotate("node-cache")]),
        (
            "s3-mount",
            {},
            [ADDON, PUBLISH, POLICY, f"{manifests('s3-mount')} | kubectl apply -f -", annotate("s3-mount")],
        ),
        (
            "shared-volume",
            {},
            [
                PUBLISH,
                POLICY,
                "# set strategies.shared-volume.storageClass, then:",
                f"{manifests('shared-volume', ' --stage load')} | kubectl apply -f -",
                "# when the Job has completed:",
                f"{manifests('shared-volume', ' --stage share')} | kubectl apply -f -",
                annotate("shared-volume"),
            ],
        ),
        (
            "volume",
            {},
            [
                PUBLISH,
                "model-injector pull my-model@1.2.3 DIR",
                "# DIR is where the file system is mounted; set strategies.volume.source to its claim, then:",
                annotate("volume"),
            ],
        ),
        (
            "node-image",
            {},
            [
                PUBLISH,
                manifests("node-image", " --output DIR"),
                "# build the node image with the files in DIR, and apply its node pool, then:",
                annotate("node-image"),
            ],
        ),
        (
            "oci-image",
            {},
            [PUBLISH, "model-injector image push my-model@1.2.3 REGISTRY/NAME", annotate("oci-image")],
        ),
        (
            "application-image",
            {},
            [
                PULL,
                COPY,
                BUILD,
                "docker push REGISTRY/APP:TAG",
                "kubectl -n apps set image deployment/APP APP=REGISTRY/APP:TAG",
            ],
        ),
        (
            "application-image",
            {"platform": "docker"},
            [
                PULL,
                COPY,
                BUILD,
                "docker push REGISTRY/APP:TAG",
                "docker run -e MODEL_PATH=/model-artifacts/my-model-1.2.3 REGISTRY/APP:TAG",
            ],
        ),
        (
            "application-image",
            {"platform": "docker", "connectivity": "none"},
            [
                PULL,
                COPY,
                BUILD,
                "docker save REGISTRY/APP:TAG -o APP.tar",
                "docker load -i APP.tar  # on the host",
                "docker run -e MODEL_PATH=/model-artifacts/my-model-1.2.3 REGISTRY/APP:TAG",
            ],
        ),
        (
            "pulled-folder",
            {"platform": "docker"},
            [
                PUBLISH,
                PULL,
                'docker run -v "$PWD/models":/model-artifacts:ro -e MODEL_PATH=/model-artifacts/my-model-1.2.3 IMAGE',
            ],
        ),
        (
            "bind-mount",
            {"platform": "docker"},
            ['docker run -v "$PWD/DIR":/model-artifacts:ro -e MODEL_PATH=/model-artifacts IMAGE'],
        ),
    ],
)
def test_a_way_has_its_commands(way: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert list(commands(way, **changes)) == expected


def test_nothing_is_published_or_installed_that_is_there() -> None:
    published = Names(model="my-model", version="1.2.3", folder="my-model-1.2.3", is_published=True)
    found = commands("s3-mount", published, csi_drivers=("s3.csi.aws.com",))
    assert not [command for command in found if "publish" in command or "create-addon" in command]


def test_commands_have_the_names_of_the_installation() -> None:
    names = Names(
        model="my-org/my-model",
        version="1.2.3",
        folder="my-org/my-model/1.2.3",
        namespace="ml",
        mount_path="/models",
        annotation_prefix="models.example.com",
        options=("--config", "my values.yaml"),
    )
    *_, patch = map(shlex.split, commands("s3-init", names))
    annotations = json.loads(patch[-1])["spec"]["template"]["metadata"]["annotations"]
    assert annotations["models.example.com/model"] == "my-org/my-model"
    assert "COPY models/my-org/my-model/1.2.3 /models/my-org/my-model/1.2.3" in commands("application-image", names)[1]
    for way in WAYS:
        own = [shlex.split(command.partition(" | ")[0]) for command in commands(way.name, names)]
        assert all(words[-2:] == ["--config", "my values.yaml"] for words in own if words[:1] == ["model-injector"])


@pytest.mark.parametrize("way", [way.name for way in WAYS if way.name != "bind-mount"])
def test_this_program_takes_its_own_commands(way: str) -> None:
    for command in commands(way):
        program, *words = shlex.split(command, comments=True) or [""]
        if program == "model-injector" and words[0] in ("publish", "pull", "iam-policy"):
            done = run(*words, "--config", "/nowhere.yaml")
            assert done.stderr.startswith("model-injector: /nowhere.yaml: ")
