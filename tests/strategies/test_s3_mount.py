"""`s3-mount`: what the driver is told to mount, under which names, and who can read it."""

from itertools import product
from typing import Any

import kubernetes_validate
import msgspec
import pytest
from pydantic import ValidationError

from tests.admission.conftest import Injector, asking
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.fetching.settings import FetchSettings
from webhook.inventory.inventory import Claim, Inventory
from webhook.kubernetes.pod import decode
from webhook.model.artifact import Artifact
from webhook.model.source import Source
from webhook.settings import Settings
from webhook.strategies import s3_mount
from webhook.strategies.s3_mount import MountCache, MountSettings
from webhook.strategies.strategy import ManifestRequest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
JSON = dict[str, Any]
SOURCE: JSON = {"bucket": "my-ml-bucket", "prefix": "model-artifacts"}
CLAIM = "s3-mount-my-model-1.2.3-c685ce6b"
LONG = "my-org/" + "Very_long.name--" * 12


def manifests(*artifacts: Artifact, namespaces: tuple[str, ...] = ("apps",), **settings: Any) -> tuple[JSON, ...]:
    request = ManifestRequest(artifacts, namespaces, "", "model-injector.io", FetchSettings())
    return s3_mount.manifests(request, MountSettings(**settings)).objects


def of(model: str = "my-model", version: str = "1.2.3", size: int | None = None, **source: Any) -> Artifact:
    return Artifact(model, version, Source(**{**SOURCE, **source}), bytes=size)


def injector(**settings: Any) -> Injector:
    return Injector(Settings(**SOURCE, strategies={"s3-mount": settings}))


def test_a_version_has_the_volume_and_the_claim_that_the_driver_documents() -> None:
    volume, claim = manifests(of(size=2**31 + 1, region="eu-west-1"), sts_region="eu-west-1")
    name = "s3-mount-apps-my-model-1.2.3-2ca3f509"
    assert volume["metadata"]["name"] == name
    assert volume["spec"] == {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadOnlyMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": "apps", "name": CLAIM},
        "mountOptions": [
            "prefix model-artifacts/my-model-1.2.3/",
            "metadata-ttl indefinite",
            "allow-other",
            "region eu-west-1",
        ],
        "csi": {
            "driver": "s3.csi.aws.com",
            "volumeHandle": name,
            "volumeAttributes": {
                "bucketName": "my-ml-bucket",
                "authenticationSource": "pod",
                "stsRegion": "eu-west-1",
            },
        },
    }
    assert claim["metadata"] == {
        "name": CLAIM,
        "namespace": "apps",
        "labels": {
            "app.kubernetes.io/managed-by": "model-injector",
            "model-injector.io/model": "my-model",
            "model-injector.io/version": "1.2.3",
            "model-injector.io/state": "ready",
        },
    }
    assert claim["spec"] == {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "",
        "volumeName": name,
        "resources": {"requests": {"storage": "1Gi"}},
    }


def test_the_names_of_any_models_are_valid_and_differ_in_the_cluster_and_pods_mount_these_claims() -> None:
    models = ("my-model", "my-org/Model", "my-org-model", "my.org/model", LONG, f"{LONG}2", "1", "x..-y")
    artifacts = [of(*named) for named in product(models, ("1.2.3", "1.2.3+cu12", "v1." + "9" * 120))]
    namespaces = ("apps", "n" * 63)
    objects = manifests(*artifacts, namespaces=namespaces)
    for each in objects:
        kubernetes_validate.validate(each, "1.37", strict=True)
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in each["metadata"]["labels"].values())
    volumes, claims = objects[::2], objects[1::2]
    count = len(artifacts) * len(namespaces)
    assert len({volume["spec"]["csi"]["volumeHandle"] for volume in volumes}) == count
    assert len({volume["metadata"]["name"] for volume in volumes}) == count
    assert len({(claim["metadata"]["namespace"], claim["metadata"]["name"]) for claim in claims}) == count
    assert objects == manifests(*artifacts, namespaces=namespaces)
    for artifact, claim in zip(artifacts, claims, strict=False):
        pod = injector()(asking(model=artifact.model, version=artifact.version, strategy="s3-mount"))
        (volume,) = pod["spec"]["volumes"]
        assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"], "readOnly": True}


@pytest.mark.parametrize(
    ("source", "options", "attributes"),
    [
        ({"prefix": "", "layout": "{model}/{version}"}, {"prefix my-model/1.2.3/"}, {}),
        ({"prefix": "team=a"}, {"prefix=team=a/my-model-1.2.3/"}, {}),
        (
            {"endpoint_url": "https://s3.example.com", "requester_pays": True},
            {"endpoint-url https://s3.example.com", "force-path-style", "requester-pays"},
            {},
        ),
        ({"anonymous": True}, {"no-sign-request"}, {"authenticationSource": "driver"}),
        (
            {"bucket": "arn:aws:s3:eu-west-1:111122223333:accesspoint/models", "region": "eu-west-1"},
            {"region eu-west-1"},
            {"bucketName": "arn:aws:s3:eu-west-1:111122223333:accesspoint/models"},
        ),
    ],
)
def test_the_mount_follows_the_source(source: JSON, options: set[str], attributes: JSON) -> None:
    spec = manifests(of(**source))[0]["spec"]
    assert options <= set(spec["mountOptions"])
    assert spec["csi"]["volumeAttributes"].items() >= attributes.items()
    assert spec["capacity"] == {"storage": "1Gi"}
    assert len([option for option in spec["mountOptions"] if option.startswith("prefix")]) == 1


@pytest.mark.parametrize(
    ("cache", "attributes"),
    [
        ({}, {}),
        (
            {"type": "emptyDir", "sizeLimit": "20Gi", "medium": "Memory"},
            {"cache": "emptyDir", "cacheEmptyDirSizeLimit": "20Gi", "cacheEmptyDirMedium": "Memory"},
        ),
        ({"type": "emptyDir", "sizeLimit": "20Gi"}, {"cache": "emptyDir", "cacheEmptyDirSizeLimit": "20Gi"}),
        (
            {"type": "ephemeral", "sizeLimit": "20Gi", "storageClassName": "gp3"},
            {
                "cache": "ephemeral",
                "cacheEphemeralStorageClassName": "gp3",
                "cacheEphemeralStorageResourceRequest": "20Gi",
            },
        ),
    ],
)
def test_a_cache_is_configured_by_the_drivers_attributes(cache: JSON, attributes: JSON) -> None:
    found = manifests(of(), cache=cache, authentication_source="driver")[0]["spec"]["csi"]["volumeAttributes"]
    assert found == {"bucketName": "my-ml-bucket", "authenticationSource": "driver", **attributes}


@pytest.mark.parametrize(
    ("cache", "problem"),
    [
        ({"type": "emptyDir"}, "a cache of type emptyDir needs sizeLimit, such as 20Gi: set it"),
        ({"type": "emptyDir", "sizeLimit": "0Gi"}, "a cache of type emptyDir needs sizeLimit"),
        ({"type": "ephemeral", "sizeLimit": "1Gi"}, "needs it, and type is ephemeral: set it"),
        ({"type": "emptyDir", "sizeLimit": "1Gi", "storageClassName": "gp3"}, "type is emptyDir: remove it"),
        (
            {"type": "ephemeral", "sizeLimit": "1Gi", "storageClassName": "gp3", "medium": "Memory"},
            "medium is only for the type emptyDir",
        ),
        ({"sizeLimit": "1Gi"}, "sizeLimit is set, and type is none"),
        ({"type": "emptyDir", "sizeLimit": "lots"}, "not a quantity"),
    ],
)
def test_a_cache_without_a_limit_and_other_mistakes_are_refused(cache: JSON, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        MountCache(**cache)


ROOT: JSON = {"securityContext": {"runAsUser": 0}}
FAILS = "only root can read a model by the strategy s3-mount in a pod without fsGroup"


@pytest.mark.parametrize(
    ("pod", "container", "refusal", "warning"),
    [
        ({"fsGroup": 2000}, {"securityContext": {"runAsUser": 1000}}, "", ""),
        ({}, ROOT, "", ""),
        ({"runAsUser": 1000}, ROOT, "", ""),
        ({"runAsUser": 1000}, {}, f"container app runs as user 1000, and {FAILS}", ""),
        ({"runAsNonRoot": True}, {}, f"container app does not run as root, and {FAILS}", ""),
        ({"runAsNonRoot": True}, {"securityContext": {"runAsNonRoot": False}}, "", "the user of app is unknown"),
        ({}, {}, "", "the user of app is unknown"),
    ],
)
def test_without_allow_other_every_reader_runs_as_root_or_has_the_pods_group(
    pod: JSON, container: JSON, refusal: str, warning: str
) -> None:
    others = [{"name": "istio-proxy", "securityContext": {"runAsUser": 1337}}, {"name": "other"}]
    spec = {"securityContext": pod, "containers": [{"name": "app", **container}, *others]}
    asked = asking(spec, strategy="s3-mount", containers="app")
    result = injector(allow_other=False).decide(asked)
    assert (refusal in result.message, bool(result.message)) == (True, bool(refusal))
    assert [warning in found for found in result.warnings] == ([True] if warning else [])
    assert "allow-other" not in manifests(of(), allow_other=False)[0]["spec"]["mountOptions"]
    result = injector().decide(asked)
    assert (result.decision, result.warnings) == ("injected", ())


def test_proxies_of_meshes_read_no_models() -> None:
    spec = {"containers": [{"name": "app", **ROOT}, {"name": "istio-proxy", "securityContext": {"runAsUser": 1337}}]}
    result = injector(allow_other=False).decide(asking(spec, strategy="s3-mount"))
    assert (result.decision, result.warnings) == ("injected", ())


@pytest.mark.parametrize(
    ("reserve", "node", "gates"),
    [
        (True, None, [{"name": "s3.csi.aws.com/reserve-headroom-for-mppod"}]),
        (True, "node-1", None),
        (False, None, None),
    ],
)
def test_only_a_driver_that_reserves_headroom_gets_gates_and_not_for_a_pod_with_a_node(
    reserve: bool, node: str | None, gates: list[JSON] | None
) -> None:
    spec = {"containers": [{"name": "app"}], **({"nodeName": node} if node else {})}
    pod = injector(reserve_headroom=reserve)(asking(spec, strategy="s3-mount"))
    assert pod["spec"].get("schedulingGates") == gates


@pytest.mark.parametrize(("source", "account"), [("pod", "model-reader"), ("driver", None)])
def test_the_default_account_is_set_where_the_pods_role_reads_the_bucket(source: str, account: str | None) -> None:
    strategies = {"s3-mount": {"authentication_source": source}}
    settings = Settings(**SOURCE, defaults={"service_account": "model-reader"}, strategies=strategies)
    assert Injector(settings)(asking(strategy="s3-mount"))["spec"].get("serviceAccountName") == account


@pytest.mark.parametrize(
    ("drivers", "claims", "strategy", "reason"),
    [
        (("s3.csi.aws.com",), {CLAIM: Claim("ready", "Pending")}, "s3-mount", ""),
        ((), {CLAIM: Claim("ready", "Bound")}, "s3-init", "the cluster has no CSI driver s3.csi.aws.com"),
        (("s3.csi.aws.com",), {}, "s3-init", f"namespace apps has no claim {CLAIM}"),
    ],
)
def test_a_cluster_that_is_not_ready_leads_to_the_next_strategy(
    drivers: tuple[str, ...], claims: dict[str, Claim], strategy: str, reason: str
) -> None:
    inventory = Inventory({("apps", name): claim for name, claim in claims.items()}, frozenset(drivers), "1.36")
    settings = injector().settings
    pod = decode(msgspec.json.encode(asking(strategy="s3-mount, s3-init")))
    result = inject(pod, "apps", settings, ExactCatalog(settings), inventory)
    assert [model.strategy for model in result.models] == [strategy]
    assert list(result.warnings) == ([f"my-model: strategy s3-mount is not used: {reason}"] if reason else [])
