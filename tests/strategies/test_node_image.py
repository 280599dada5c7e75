"""node-image: which nodes a pod gets, who is refused, and what bakes the models into these nodes.

Karpenter, Packer and EC2 Image Builder don't run here. Their inputs are held against schemas, and the script that they
run is run, with a stand-in for the AWS CLI.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import kubernetes_validate
import msgspec
import pytest
import yaml
from botocore.validate import ParamValidator
from pydantic import ValidationError

from tests.admission.conftest import JSON, Injector, annotated, asking
from tests.strategies.custom_resources import faults
from tests.support import programs
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.errors import InvalidInput
from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.pod import decode
from webhook.model.artifact import Artifact
from webhook.model.source import Source
from webhook.settings import Settings
from webhook.strategies.node_image import STRATEGY, NodeImageSettings
from webhook.strategies.strategy import ManifestRequest, Manifests

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
LABEL = "model-injector.io/node-image"
HERE = {LABEL: "my-model-1.2.3"}
SOURCE = Source(bucket="my-ml-bucket", prefix="model-artifacts", region="eu-west-1")
MODEL = Artifact("my-model", "1.2.3", SOURCE, files=2, bytes=9 << 30, digest="ab" * 32)
LLAMA = Artifact("my-org/llama", "3.1.0", SOURCE)
ALL_IN_ONE: JSON = {"nodeSelector": {LABEL: "november"}}
AWS = """#!/bin/sh
# Copies a folder of $STORE, as `aws s3 cp --recursive` copies a prefix, and writes down its arguments.
printf '%s\\n' "$@" >>"$CALLS"
while [ $# -gt 2 ]; do shift; done
cp -R "$STORE/${1#s3://}." "$2"
"""

Bake = Callable[..., "subprocess.CompletedProcess[str]"]


def affinity(*terms: JSON) -> JSON:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


def term(key: str, operator: str, *values: str, field: bool = False) -> JSON:
    return {
        "matchFields" if field else "matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]
    }


ONE_NODE = affinity(term("metadata.name", "In", "node-1", field=True))


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ({"nodeName": "node-1"}, "is bound to the node 'node-1' by spec.nodeName"),
        ({"nodeSelector": {LABEL: "my-model-1.2.2"}}, f"nodeSelector asks for {LABEL}=my-model-1.2.2"),
        ({"nodeSelector": {"karpenter.sh/nodepool": "cpu"}}, "selects nodes with karpenter.sh/nodepool='cpu'"),
        ({"nodeSelector": {"eks.amazonaws.com/nodegroup": "a"}}, "selects nodes with eks.amazonaws.com/nodegroup='a'"),
        ({"nodeSelector": {"kubernetes.io/hostname": "node-1"}}, "selects nodes with kubernetes.io/hostname='node-1'"),
        (affinity(term(LABEL, "In", "a", "b")), f"requires nodes with '{LABEL} In a,b' by its affinity"),
        (affinity(term(LABEL, "NotIn", "my-model-1.2.3")), "NotIn my-model-1.2.3' by its affinity"),
        (affinity(term(LABEL, "DoesNotExist")), f"'{LABEL} DoesNotExist' by its affinity"),
        (affinity(term(LABEL, "Gt", "3")), f"'{LABEL} Gt 3' by its affinity"),
        (affinity(term("karpenter.sh/nodepool", "In", "cpu"), term(LABEL, "DoesNotExist")), "DoesNotExist"),
        (ONE_NODE, "is for the node 'node-1', as the pods of a DaemonSet are"),
        ({"nodeSelector": HERE, **affinity(term(LABEL, "NotIn", "my-model-1.2.3"))}, "NotIn my-model-1.2.3"),
        # The same pods, where they know of the nodes with the model, and others that may run there.
        ({"nodeSelector": HERE, "nodeName": "node-1"}, None),
        ({"nodeSelector": {**HERE, "karpenter.sh/nodepool": "models"}}, None),
        ({"nodeSelector": HERE, **ONE_NODE}, None),
        ({"nodeSelector": {"topology.kubernetes.io/zone": "eu-west-1a"}}, None),
        (affinity(term(LABEL, "In", "a", "my-model-1.2.3")), None),
        (affinity(term(LABEL, "Exists")), None),
        (affinity(term(LABEL, "DoesNotExist"), term("kubernetes.io/arch", "In", "amd64")), None),
        (affinity(term("karpenter.sh/nodepool", "NotIn", "spot")), None),
        (affinity(), None),
        ({"affinity": {"podAffinity": {}}}, None),
    ],
)
def test_a_pod_for_other_nodes_is_refused_with_what_to_do(spec: JSON, part: str | None) -> None:
    injector = injector_with({})
    pod = asking(spec, strategy="node-image")
    if part is None:
        assert injector(pod)["spec"]["nodeSelector"].items() >= HERE.items()
        return
    decided = injector.decide(pod)
    assert (decided.decision, decided.reason) == ("refused", "Conflict")
    assert part in decided.message
    assert f"{LABEL}=my-model-1.2.3" in decided.message
    assert decided.message.endswith(("or use another strategy", "only nodes with the model get a pod"))


def injector_with(node_image: JSON) -> Injector:
    settings: JSON = {"bucket": "my-ml-bucket", "prefix": "model-artifacts", "strategies": {"node-image": node_image}}
    return Injector(Settings(**settings))


def test_a_platform_may_select_its_nodes_by_their_pool() -> None:
    by_pool = {"karpenter.sh/nodepool": "models"}
    injector = injector_with({"nodeSelector": by_pool})
    assert injector(asking({"nodeSelector": by_pool}, strategy="node-image"))["spec"]["nodeSelector"] == by_pool
    assert "asks for karpenter.sh/nodepool=cpu" in injector.refusal(
        asking({"nodeSelector": {"karpenter.sh/nodepool": "cpu"}}, strategy="node-image")
    )
    rendered = manifests(MODEL, nodeSelector=by_pool)
    assert kinds(rendered) == ["PersistentVolume", "PersistentVolumeClaim"]
    assert any("let the nodes' own pool use the AMI" in hint for hint in rendered.hints)


def test_one_annotation_is_all_that_changes_for_the_user_and_a_second_pass_adds_nothing() -> None:
    injector = injector_with({})
    before, after = injector(asking()), injector(asking(strategy="node-image"))
    containers = [pod["spec"]["containers"][0] for pod in (before, after)]
    assert containers[0]["env"] == containers[1]["env"]
    assert containers[1]["volumeMounts"] == [
        {"name": "model-my-model", "mountPath": "/model-artifacts/my-model-1.2.3", "readOnly": True}
    ]
    assert "initContainers" not in after["spec"]
    assert injector.decide(after).decision == "unchanged"
    running = {**after, "spec": {**after["spec"], "nodeName": "node-1"}}
    assert injector.decide(running).decision == "unchanged"


def test_several_models_of_one_image_are_in_one_pod_and_those_of_two_images_are_not() -> None:
    models = json.dumps([{"model": "a", "version": "1"}, {"model": "b", "version": "2"}])
    pod = annotated(strategy="node-image", models=models)
    together = injector_with(ALL_IN_ONE)(pod)["spec"]
    assert together["nodeSelector"] == {LABEL: "november"}
    assert [volume["name"] for volume in together["volumes"]] == ["model-a", "model-b"]
    message = injector_with({}).refusal(pod)
    assert f"a-1 is on the nodes with {LABEL}=a-1, and b-2 on those with {LABEL}=b-2" in message


@pytest.mark.parametrize(
    ("state", "problem"),
    [("ready", ""), ("loading", "is not ready: its state is loading"), (None, "namespace apps has no claim")],
)
def test_a_claim_that_is_not_ready_leads_to_the_next_strategy(state: str | None, problem: str) -> None:
    settings = injector_with({}).settings
    claim = named(manifests(MODEL), "PersistentVolumeClaim")["metadata"]["name"]
    claims = {("apps", claim): Claim(state, "Bound")} if state else {}
    pod = decode(msgspec.json.encode(asking(strategy="node-image, s3-init")))
    decided = inject(pod, "apps", settings, ExactCatalog(settings), Inventory(claims, frozenset(), "1.36"))
    assert [model.strategy for model in decided.models] == ["s3-init" if problem else "node-image"]
    assert all(problem in warning for warning in decided.warnings)
    assert len(decided.warnings) == bool(problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"nodeSelector": {}}, "at least 1"),
        ({"nodeSelector": {"a b": "x"}}, "'a b' is not the key of a label"),
        ({"nodeSelector": {LABEL: "{model.__class__}"}}, "pattern"),
        ({"tolerations": [{"key": "a", "value": "b"}]}, "the operator Exists takes no value"),
        ({"path": "/opt/../etc"}, "is not an absolute path"),
        ({"snapshotId": "vol-1"}, "pattern"),
        ({"requirements": [{"key": "a", "operator": "In"}]}, "In needs values"),
        ({"requirements": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "Exists takes no values"),
        ({"requirements": [{"key": "a", "operator": "Gt", "values": ["b"]}]}, "Gt needs one value, a number"),
    ],
)
def test_settings_that_no_cluster_takes_are_refused(settings: JSON, problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        NodeImageSettings(**settings)


# What the platform applies and builds


def manifests(*artifacts: Artifact, namespaces: tuple[str, ...] = ("apps",), **settings: Any) -> Manifests:
    assert STRATEGY.manifests
    request = ManifestRequest(artifacts, namespaces, "", "model-injector.io", Settings(bucket="b12").fetch)
    return STRATEGY.manifests(request, NodeImageSettings(**settings))


def kinds(rendered: Manifests) -> list[str]:
    return [each["kind"] for each in rendered.objects]


def named(rendered: Manifests, kind: str) -> JSON:
    (found,) = (each for each in rendered.objects if each["kind"] == kind)
    return found


def assert_valid(each: JSON) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", each["metadata"]["name"])
    if each["apiVersion"] == "v1":
        kubernetes_validate.validate(each, "1.37", strict=True)
        return
    file = Path(__file__).parent / "karpenter" / f"{each['kind'].lower()}.yaml"
    assert list(faults(each["spec"], yaml.safe_load(file.read_text()))) == []


def test_the_schemas_of_karpenter_find_what_is_wrong() -> None:
    valid = named(manifests(MODEL, snapshotId="snap-0123456789abcdef0"), "EC2NodeClass")["spec"]
    schema = yaml.safe_load((Path(__file__).parent / "karpenter" / "ec2nodeclass.yaml").read_text())
    data = {"volumeInitializationRate": 300, "volumeSize": "10Gi"}
    changes: tuple[JSON, ...] = (
        {"blockDeviceMappings": [{"deviceName": "/dev/xvdb", "ebs": data}]},
        {"instanceProfile": "nodes"},
        {"amiFamily": "al2023"},
        {"amiSelectorTerms": []},
        {"subnets": []},
        {"blockDeviceMappings": [{"ebs": {"volumeSize": "10"}}]},
    )
    for change in changes:
        assert len(list(faults({**valid, **change}, schema))) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"snapshotId": "snap-0123456789abcdef0"},
        {**ALL_IN_ONE, "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}]},
        {"requirements": [{"key": "karpenter.k8s.aws/instance-cpu", "operator": "Gt", "values": ["3"]}]},
    ],
)
def test_every_object_is_valid_and_fits_the_pods(settings: JSON) -> None:
    rendered = manifests(MODEL, namespaces=("apps", "team-b"), **settings)
    assert kinds(rendered) == ["EC2NodeClass", "NodePool", *["PersistentVolume", "PersistentVolumeClaim"] * 2]
    for each in (*rendered.objects, *yaml.safe_load_all(rendered.files["bottlerocket.yaml"])):
        assert_valid(each)
    pod = injector_with(settings)(asking(strategy="node-image"))["spec"]
    template = named(rendered, "NodePool")["spec"]["template"]
    assert template["metadata"]["labels"] == pod["nodeSelector"]
    assert [(taint["key"], taint["effect"], taint.get("value")) for taint in template["spec"]["taints"]] == [
        (each["key"], each["effect"], each.get("value")) for each in pod["tolerations"]
    ]
    assert template["spec"]["nodeClassRef"]["name"] == named(rendered, "EC2NodeClass")["metadata"]["name"]
    (claimed,) = (volume["persistentVolumeClaim"] for volume in pod["volumes"])
    volumes, claims = rendered.objects[2::2], rendered.objects[3::2]
    for volume, claim, namespace in zip(volumes, claims, ("apps", "team-b"), strict=True):
        assert (claim["metadata"]["namespace"], claim["metadata"]["name"]) == (namespace, claimed["claimName"])
        assert claim["metadata"]["labels"]["model-injector.io/state"] == "ready"
        assert volume["spec"]["claimRef"] == {"namespace": namespace, "name": claimed["claimName"]}
        assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
        assert volume["spec"]["local"] == {"path": "/opt/models/my-model-1.2.3"}
        (of_nodes,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert {each["key"]: each["values"] for each in of_nodes["matchExpressions"]} == {
            key: [value] for key, value in pod["nodeSelector"].items()
        }
    assert len({volume["metadata"]["name"] for volume in volumes}) == 2
    assert manifests(MODEL, namespaces=("apps", "team-b"), **settings) == rendered


def test_names_that_look_like_numbers_stay_text_in_the_pool_of_images() -> None:
    names = ["1e3", "12E4", "0o17", "y"]
    requirements = [{"key": "example.com/set", "values": names}]
    text = manifests(MODEL, clusterName="1e3", requirements=requirements).files["bottlerocket.yaml"]
    assert text.count("karpenter.sh/discovery: '1e3'\n") == 2
    assert all(f"- '{name}'\n" in text for name in names)


def test_nodes_have_the_models_in_an_ami_with_the_tags_of_the_build_or_on_the_volume_of_a_snapshot() -> None:
    rendered = manifests(MODEL)
    spec = named(rendered, "EC2NodeClass")["spec"]
    tags = {**HERE, "model-injector.io/files/my-model-1.2.3": "s3://my-ml-bucket/model-artifacts/my-model-1.2.3"}
    assert spec["amiSelectorTerms"] == [{"tags": tags}]
    assert packer_variables(rendered.files["packer.pkr.hcl"])["tags"] == tags
    assert json.loads(rendered.files["image-builder-recipe.json"])["amiTags"] == tags
    assert [each["ebs"]["volumeSize"] for each in spec["blockDeviceMappings"]] == ["110Gi"]  # 100, and 9 with headroom
    spec = named(manifests(MODEL, snapshotId="snap-0123456789abcdef0"), "EC2NodeClass")["spec"]
    assert spec["amiSelectorTerms"][0]["ssmParameter"].startswith("/aws/service/eks/optimized-ami/")
    root, data = (each["ebs"] for each in spec["blockDeviceMappings"])
    assert root["volumeSize"] == "100Gi"
    assert (data["snapshotID"], data["volumeInitializationRate"]) == ("snap-0123456789abcdef0", 300)
    assert "mount -o ro LABEL=models '/opt/models'" in spec["userData"]
    assert "mkfs.xfs -L models" in rendered.files["packer.pkr.hcl"]


def test_versions_with_the_same_labels_are_in_one_image_and_others_have_files_of_their_own() -> None:
    together = manifests(MODEL, LLAMA, **ALL_IN_ONE)
    assert kinds(together).count("NodePool") == 1
    assert together.files["bake.sh"].count("\ndownload ") == 2
    apart = manifests(MODEL, LLAMA)
    pools = [each["metadata"]["name"] for each in apart.objects if each["kind"] == "NodePool"]
    assert len(pools) == 2
    assert set(apart.files) == {
        "Dockerfile.image-volume",
        "bottlerocket.yaml",
        *(
            f"{pool}.{file}"
            for pool in pools
            for file in ("bake.sh", "packer.pkr.hcl", "image-builder-component.yaml", "image-builder-recipe.json")
        ),
        *(f"{folder}.Dockerfile.application" for folder in ("my-model-1.2.3", "my-org-llama-3.1.0")),
    }
    for pool in pools:
        assert packer_variables(apart.files[f"{pool}.packer.pkr.hcl"])["script"] == f"{pool}.bake.sh"
    assert any("does not know the size of my-org/llama-3.1.0" in hint for hint in apart.hints)


def test_a_host_path_needs_no_volume_and_a_cluster_of_ones_own_no_hint() -> None:
    rendered = manifests(MODEL, volume="hostPath", clusterName="prod", nodeRole="nodes")
    assert kinds(rendered) == ["EC2NodeClass", "NodePool"]
    spec = named(rendered, "EC2NodeClass")["spec"]
    assert (spec["role"], spec["subnetSelectorTerms"]) == ("nodes", [{"tags": {"karpenter.sh/discovery": "prod"}}])
    assert not any("my-cluster" in hint for hint in rendered.hints)
    assert any("my-cluster" in hint for hint in manifests(MODEL).hints)


@pytest.mark.parametrize(
    ("artifacts", "settings", "problem"),
    [
        ([MODEL, Artifact("my-model", "1.2.3", Source(bucket="other"))], {}, "have the same folder my-model-1.2.3"),
        ([Artifact("m", str(number), SOURCE) for number in range(20)], ALL_IN_ONE, "an image has at most 19"),
        ([MODEL, LLAMA], {"snapshotId": "snap-0123456789abcdef0"}, "snapshotId is one snapshot"),
        ([MODEL], {"nodeSelector": {f"{'a.' * 60}io/{'b' * 60}": "x"}}, "is too long for a tag of EC2"),
        ([Artifact("a\nRUN id", "1", SOURCE)], {}, "cannot be written into a Dockerfile"),
        ([Artifact("a", "$(id)", SOURCE)], {}, "cannot be written into a Dockerfile"),
    ],
)
def test_versions_that_no_image_can_have_are_refused(artifacts: list[Artifact], settings: JSON, problem: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        manifests(*artifacts, **settings)


def test_long_names_stay_valid() -> None:
    rendered = manifests(Artifact("M" * 200, "1" * 60 + "+x_Y", SOURCE), namespaces=("n" * 63,))
    for each in rendered.objects:
        assert_valid(each)
    assert all(len(value) <= 256 for value in packer_variables(rendered.files["packer.pkr.hcl"])["tags"].values())


def packer_variables(text: str) -> Mapping[str, Any]:
    """The variables with defaults, which are JSON; the template declares each that it uses."""
    declared = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in declared} >= set(re.findall(r"\bvar\.(\w+)", text))
    assert text.count("{") == text.count("}")
    defaults = {name: re.search(r"  default +=(.*)", body, re.DOTALL) for name, body in declared}
    return {name: json.loads(found[1]) for name, found in defaults.items() if found}


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
