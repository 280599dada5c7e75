"""The strategy `shared-volume`: its manifests, stage by stage, and which pods mount its claims."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import kubernetes_validate
import msgspec
import pytest
import yaml

from tests.support.known import known_settings
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.errors import InvalidInput
from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.pod import decode
from webhook.model.artifact import Artifact
from webhook.settings import Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import ManifestRequest, Manifests

JSON = dict[str, Any]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = EXAMPLES.parent / "docs" / "strategies" / "shared-volume.md"
STRATEGY = STRATEGIES["shared-volume"]
CREDENTIALS = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:svm1-AbCdEf"
GIBIBYTE: Final = 1 << 30
FSX: Final[JSON] = {
    "namespace": "kube-system",
    "storageClass": "ontap-nas",
    "backend": {
        "svm": "svm1",
        "managementLif": "svm1.fs-0123.fsx.eu-west-1.amazonaws.com",
        "fsxFilesystemId": "fs-0123",
        "apiRegion": "eu-west-1",
        "credentials": CREDENTIALS,
    },
}
"""The settings of the guide's example, whose claims are in kube-system."""
CLAIM: Final = "shared-volume-some-model-1.0.0-2400d7f3"
JOB: Final = "shared-volume-some-model-1-0-0-2400d7f3"


def settings_of(shared_volume: JSON) -> Settings:
    return known_settings(prefix="models", strategies={"shared-volume": shared_volume})


def rendered(stage: str, namespaces: Sequence[str], shared_volume: JSON, size: int | None = 16 * GIBIBYTE) -> Manifests:
    """The manifests of the guide's model."""
    settings = settings_of(shared_volume)
    artifact = Artifact(
        "some-model",
        "1.0.0",
        settings.all_sources["default"],
        files=10,
        bytes=size,
        digest="d" * 64,
        objects=12,
        object_bytes=size,
    )
    request = ManifestRequest((artifact,), tuple(namespaces), stage, settings.annotation_prefix, settings.fetch)
    assert STRATEGY.manifests
    return STRATEGY.manifests(request, settings.of_strategies[STRATEGY.name])


def identities(manifests: Manifests) -> list[tuple[str, str | None, str]]:
    return [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in manifests.objects]


def labels_of(manifests: Manifests, kind: str) -> list[str | None]:
    """The label `state` of each object of a kind."""
    return [
        each["metadata"]["labels"].get("model-injector.io/state") for each in manifests.objects if each["kind"] == kind
    ]


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    namespace: str
    labels: dict[str, str]


class ReferenceSpec(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """`required: [pvcName, pvcNamespace]` in the schema of the CustomResourceDefinition."""

    pvc_name: str
    pvc_namespace: str


class VolumeReference(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_version: Literal["trident.netapp.io/v1"]
    kind: Literal["TridentVolumeReference"]
    metadata: Metadata
    spec: ReferenceSpec


class Aws(msgspec.Struct, forbid_unknown_fields=True):
    fsxFilesystemID: str = ""  # noqa: N815 - Trident's spelling
    apiRegion: str = ""  # noqa: N815


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    type: Literal["awsarn", "secret"]


class BackendSpec(msgspec.Struct, forbid_unknown_fields=True):
    """Fields of Trident's driver for ONTAP. The CustomResourceDefinition accepts any, so that a typo goes unnoticed."""

    version: Literal[1]
    backendName: str  # noqa: N815
    storageDriverName: Literal["ontap-nas"]  # noqa: N815
    svm: str
    managementLIF: str = ""  # noqa: N815
    aws: Aws = msgspec.field(default_factory=Aws)
    credentials: Credentials | None = None


class Backend(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_version: Literal["trident.netapp.io/v1"]
    kind: Literal["TridentBackendConfig"]
    metadata: Metadata
    spec: BackendSpec


CUSTOM: Final[Mapping[str, Any]] = {"TridentVolumeReference": VolumeReference, "TridentBackendConfig": Backend}


def validate(manifest: JSON) -> None:
    if manifest["kind"].startswith("Trident"):
        msgspec.convert(manifest, CUSTOM[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, "1.37", strict=True)


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("load", FSX),
        ("share", FSX),
        ("load", {"storageClass": "ontap-nas", "backend": {"svm": "SVM_1"}}),
        ("load", {"storageClass": "efs", "sharing": "none"}),
        ("share", {"storageClass": "efs", "sharing": "none"}),
    ],
)
def test_every_object_fits_its_schema(stage: str, settings: JSON) -> None:
    objects = rendered(stage, ["apps", "search"], settings).objects
    assert objects
    for each in msgspec.to_builtins(objects):
        validate(each)


def test_a_namespace_gets_the_volume_only_after_the_model_is_verified() -> None:
    load, share = rendered("load", ["apps", "search"], FSX), rendered("share", ["apps", "search"], FSX)
    assert identities(load) == [
        ("StorageClass", None, "ontap-nas"),
        ("TridentBackendConfig", "trident", "svm1-nas"),
        ("PersistentVolumeClaim", "kube-system", CLAIM),
        ("Job", "kube-system", JOB),
    ]
    assert share.objects[:2] == load.objects[:2]  # so that a tool which prunes objects keeps them
    assert identities(share)[2:] == [
        ("PersistentVolumeClaim", "kube-system", CLAIM),
        *itertools.chain.from_iterable(
            (("TridentVolumeReference", namespace, CLAIM), ("PersistentVolumeClaim", namespace, CLAIM))
            for namespace in ("apps", "search")
        ),
    ]
    before, after = load.objects[2], share.objects[2]
    assert "annotations" not in before["metadata"]
    assert after["metadata"]["annotations"] == {"trident.netapp.io/shareToNamespace": "apps,search"}
    assert after["spec"] == before["spec"]
    assert labels_of(load, "PersistentVolumeClaim") == ["loading"]
    assert labels_of(share, "PersistentVolumeClaim") == ["ready"] * 3
    wait, following = load.hints
    assert wait == f"kubectl --namespace kube-system wait --for=condition=complete --timeout=9600s job/{JOB}"
    assert "share" in following


def test_pods_beside_the_loader_mount_its_claim() -> None:
    only_there = rendered("share", ["kube-system"], FSX)
    assert identities(only_there)[2:] == [("PersistentVolumeClaim", "kube-system", CLAIM)]
    assert "annotations" not in only_there.objects[2]["metadata"]


def test_without_sharing_each_namespace_has_a_claim_and_a_load() -> None:
    settings = {"storageClass": "efs", "sharing": "none"}
    load, share = rendered("load", ["apps", "search"], settings), rendered("share", ["apps", "search"], settings)
    kinds = ("PersistentVolumeClaim", CLAIM), ("Job", JOB)
    assert identities(load) == [(kind, namespace, name) for namespace in ("apps", "search") for kind, name in kinds]
    assert [hint.split()[2] for hint in load.hints[:-1]] == ["apps", "search"]
    assert identities(share) == [("PersistentVolumeClaim", namespace, CLAIM) for namespace in ("apps", "search")]
    assert [each["spec"] for each in share.objects] == [each["spec"] for each in load.objects[::2]]
    assert (labels_of(load, "PersistentVolumeClaim"), labels_of(share, "PersistentVolumeClaim")) == (
        ["loading"] * 2,
        ["ready"] * 2,
    )


@pytest.mark.parametrize(
    ("stage", "namespaces", "size", "settings", "message"),
    [
        ("load", ["apps"], 1, {}, "set strategies.shared-volume.storageClass"),
        ("load", ["apps"], None, FSX, "the size of some-model-1.0.0 is unknown; set catalog.mode to s3"),
        ("share", [], 1, FSX, "give --namespace"),
        ("load", [], 1, {"storageClass": "efs", "sharing": "none"}, "give --namespace"),
    ],
)
def test_what_cannot_be_rendered_says_why(
    stage: str, namespaces: list[str], size: int | None, settings: JSON, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        rendered(stage, namespaces, settings, size)


def test_the_loader_is_admitted_in_restricted_namespaces() -> None:
    spec = rendered("load", ["apps"], FSX).objects[3]["spec"]["template"]["spec"]
    assert [list(volume) for volume in spec["volumes"]] == [["name", "persistentVolumeClaim"]]
    for container in spec["initContainers"] + spec["containers"]:
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == spec["securityContext"]["fsGroup"] == 65532
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        (Claim("ready", "Bound"), ""),
        (Claim("ready", "Pending"), ""),  # the StorageClass may wait for the pod
        (Claim("loading", "Bound"), f"the claim {CLAIM} is not ready: its state is loading"),
        (None, f"namespace apps has no claim {CLAIM}"),
    ],
)
def test_pods_are_downloaded_to_until_the_claim_is_ready(claim: Claim | None, problem: str) -> None:
    """With `shared-volume, s3-init`; with `shared-volume` alone they are refused."""
    settings = settings_of(FSX)
    inventory = Inventory({("apps", CLAIM): claim} if claim else {}, frozenset(), "1.36")
    for strategies in ("shared-volume, s3-init", "shared-volume"):
        asked = {"model": "some-model", "version": "1.0.0", "strategy": strategies}
        annotations = {f"model-injector.io/{name}": value for name, value in asked.items()}
        pod = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "app"}]}}
        result = inject(decode(msgspec.json.encode(pod)), "apps", settings, ExactCatalog(settings), inventory)
        if problem and strategies == "shared-volume":
            assert (result.decision, result.reason) == ("refused", "StrategyUnavailable")
            assert problem in result.message
        else:
            assert result.decision == "injected"
            assert [warning for warning in result.warnings if problem in warning] == list(result.warnings)
            assert ("initContainers" in apply(pod, result.operations)["spec"]) == bool(result.warnings) == bool(problem)


def test_the_settings_of_the_page_render_the_backend() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    settings = Settings(**yaml.safe_load(block)["config"])
    found = rendered("load", [], settings.of_strategies["shared-volume"].model_dump())
    assert [kind for kind, _, _ in identities(found)][:2] == ["StorageClass", "TridentBackendConfig"]


def test_the_example_is_that_of_downloads_with_one_annotation_more() -> None:
    downloads, shared = (
        yaml.safe_load((EXAMPLES / name).read_text()) for name in ("deployment.yaml", "shared-volume.yaml")
    )
    annotations = shared["spec"]["template"]["metadata"]["annotations"]
    assert annotations.pop("model-injector.io/strategy") == "shared-volume"
    assert shared == downloads
