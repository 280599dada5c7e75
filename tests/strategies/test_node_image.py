"""The strategy node-image: the nodes of a pod, the pods that are refused, and the objects.

Karpenter doesn't run here. Its objects are held against its schemas.
"""

import json
import re
from pathlib import Path

import kubernetes_validate
import msgspec
import pytest
import yaml
from pydantic import ValidationError

from tests.admission.conftest import JSON, annotated, asking
from tests.strategies.custom_resources import faults
from tests.strategies.node_images import (
    ALL_IN_ONE,
    HERE,
    LABEL,
    LLAMA,
    MODEL,
    SOURCE,
    injector_with,
    manifests,
    packer_variables,
)
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.errors import InvalidInput
from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.pod import decode
from webhook.model.artifact import Artifact
from webhook.model.source import Source
from webhook.strategies.node_image import NodeImageSettings
from webhook.strategies.strategy import Manifests

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")


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
