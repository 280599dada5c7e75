"""The API server stores what each strategy adds to a pod, and the guard agrees."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e import workloads
from tests.e2e.cluster import JSON, Cluster
from tests.e2e.release import Release
from tests.e2e.store import Store
from tests.e2e.workloads import PRIVILEGED, asking

pytestmark = pytest.mark.usefixtures("injector")
MOUNTPOINT = "s3.csi.aws.com"


@pytest.fixture(scope="module")
def mountpoint(cluster: Cluster) -> Iterator[None]:
    """The CSI driver of Mountpoint for S3. Without nodes, the object that announces it is enough."""
    if cluster.has("csidriver", MOUNTPOINT):
        yield
        return
    if cluster.runs_pods:
        pytest.skip(f"the cluster has no CSI driver {MOUNTPOINT}")
    driver = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": MOUNTPOINT}, "spec": {}}
    cluster.create(driver)
    yield
    cluster.kubectl("delete", "csidriver", MOUNTPOINT)


def test_s3_init(cluster: Cluster, namespace: str) -> None:
    assert volume_of(cluster, namespace, "s3-init") == {"emptyDir": {"sizeLimit": "1Mi"}}


def test_node_cache(cluster: Cluster, namespace: str) -> None:
    source = volume_of(cluster, namespace, "node-cache")["csi"]

    assert source["driver"] == "csi.model-injector.io"
    assert source["readOnly"] is True


def test_oci_image(cluster: Cluster, namespace: str) -> None:
    if cluster.version < (1, 35):
        pytest.skip("image volumes are enabled from Kubernetes 1.35 on")
    source = volume_of(cluster, namespace, "oci-image")["image"]

    assert source["reference"] == "registry.example.com/models/my-model:1.2.3"


def test_volume(cluster: Cluster, namespace: str) -> None:
    assert volume_of(cluster, namespace, "volume")["persistentVolumeClaim"]["claimName"] == "models"


def test_node_image(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("label", "namespace", namespace, PRIVILEGED, "--overwrite")
    path = volume_of(cluster, namespace, "node-image")["hostPath"]["path"]

    assert path == "/var/lib/model-injector-e2e/models/my-model-1.2.3"
    pod = cluster.get("pod", "app", namespace)
    assert pod["spec"]["nodeSelector"] == {"model-injector.io/node-image": "my-model-1.2.3"}


def test_node_image_is_refused_where_pod_security_forbids_host_paths(cluster: Cluster, namespace: str) -> None:
    printed = cluster.refusal(workloads.pod(namespace, annotations=asking(strategy="node-image")))

    assert 'violates PodSecurity "restricted:latest"' in printed
    assert "hostPath" in printed


@pytest.mark.usefixtures("controllers", "mountpoint")
def test_s3_mount(cluster: Cluster, namespace: str, injector: Release, models: Store) -> None:
    claim = ready_claim(cluster, namespace, injector, models, "s3-mount")

    assert volume_of(cluster, namespace, "s3-mount")["persistentVolumeClaim"]["claimName"] == claim


def test_a_shared_volume_that_is_not_ready_is_refused(cluster: Cluster, namespace: str) -> None:
    printed = cluster.refusal(workloads.pod(namespace, annotations=asking(strategy="shared-volume")))

    assert f"namespace {namespace} has no claim shared-volume-" in printed


def test_the_next_strategy_of_a_list_takes_the_place_of_one_that_is_not_ready(cluster: Cluster, namespace: str) -> None:
    manifest = workloads.pod(namespace, annotations=asking(strategy="shared-volume, s3-init"))

    printed = cluster.create(manifest)

    assert "Warning: " in printed
    assert "has no claim shared-volume-" in printed
    assert injected(cluster.get("pod", "app", namespace))["strategy"] == "s3-init"


def test_two_models_by_two_strategies(cluster: Cluster, namespace: str, models: Store) -> None:
    models.publish("other", "1.0.0")
    asked = '[{"model": "my-model", "version": "1.2.3"}, {"model": "other", "version": "1.0.0", "strategy": "volume"}]'
    cluster.create(workloads.pod(namespace, annotations={f"{workloads.PREFIX}models": asked}))

    pod = cluster.get("pod", "app", namespace)
    names = {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}
    assert {"MODEL_MY_MODEL_PATH", "MODEL_OTHER_PATH"} <= names


def injected(pod: JSON) -> JSON:
    """What the pod records of its only model."""
    (found,) = json.loads(pod["metadata"]["annotations"]["model-injector.io/injected"])
    return dict(found)


def volume_of(cluster: Cluster, namespace: str, strategy: str) -> JSON:
    """The source of the volume that a strategy adds to a pod."""
    cluster.create(workloads.pod(namespace, annotations=asking(strategy=strategy)))
    pod = cluster.get("pod", "app", namespace)
    assert injected(pod)["strategy"] == strategy
    (added,) = [volume for volume in pod["spec"]["volumes"] if not volume["name"].startswith("kube-api-access-")]
    return {name: value for name, value in added.items() if name != "name"}


def ready_claim(cluster: Cluster, namespace: str, injector: Release, models: Store, strategy: str) -> str:
    """The name of the claim that the command `manifests` prints, once it is there and the webhook knows it."""
    settings = injector.settings()
    arguments = ("manifests", strategy, "my-model@1.2.3", "--namespace", namespace)
    cluster.kubectl("apply", "--filename=-", content=models.command(*arguments, settings=settings))
    probe = workloads.pod(namespace, "probe", asking(strategy=f"{strategy}, s3-init"))

    def chosen() -> str:
        found: str = injected(cluster.dry_run(probe))["strategy"]
        return found

    cluster.until(lambda: chosen() == strategy, chosen)
    (claim,) = cluster.objects("persistentvolumeclaims", namespace, "--selector=model-injector.io/model=my-model")
    name: str = claim["metadata"]["name"]
    return name
