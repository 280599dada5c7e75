"""Pods really run, and their containers read the model's files: each strategy that the cluster can have."""

import json
import os
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.e2e import node_files, workloads
from tests.e2e.cluster import Cluster
from tests.e2e.reading import files_of
from tests.e2e.release import Release
from tests.e2e.store import Store
from tests.e2e.test_strategies import MOUNTPOINT, ready_claim
from tests.e2e.workloads import PRIVILEGED, asking, template

pytestmark = pytest.mark.usefixtures("nodes", "injector")
WEIGHTS = {"weights.bin": "my-model 1.2.3"}


def test_a_pod_reads_what_its_init_container_downloaded(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.pod(namespace, annotations=asking(verify="sha256")))

    assert files_of(cluster, namespace).items() >= WEIGHTS.items()
    (fetch,) = cluster.get("pod", "app", namespace)["status"]["initContainerStatuses"]
    assert '"reason":"Complete"' in fetch["state"]["terminated"]["message"]


def test_a_job_completes(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.job(namespace, template(asking(), seconds=0)))

    cluster.kubectl("wait", "--for=condition=Complete", "job/app", "--namespace", namespace, "--timeout=180s")
    assert files_of(cluster, namespace, "job/app").items() >= WEIGHTS.items()


@pytest.mark.parametrize("kind", ["deployment", "stateful_set"])
def test_a_workload_becomes_available(cluster: Cluster, namespace: str, kind: str) -> None:
    made = getattr(workloads, kind)(namespace, template(asking()), replicas=2)
    cluster.create(made)

    target = f"{made['kind']}/app"
    cluster.kubectl("rollout", "status", target, "--namespace", namespace, "--timeout=180s")
    assert files_of(cluster, namespace, target).items() >= WEIGHTS.items()


def test_a_download_that_fails_says_why(cluster: Cluster, namespace: str, models: Store) -> None:
    model = f"broken-{uuid4().hex[:6]}"
    models.publish(model, "1.0.0")
    gated = [{"name": "example.com/wait"}]
    cluster.create(workloads.pod(namespace, annotations=asking(model, "1.0.0"), schedulingGates=gated))
    models.delete(f"{model}-1.0.0/weights.bin")

    remove = '[{"op": "remove", "path": "/spec/schedulingGates"}]'
    cluster.kubectl("patch", "pod", "app", "--namespace", namespace, "--type=json", "--patch", remove)

    def messages() -> list[str]:
        statuses = cluster.get("pod", "app", namespace)["status"].get("initContainerStatuses", ())
        states = [each.get(state, {}) for each in statuses for state in ("state", "lastState")]
        return [state["terminated"]["message"] for state in states if "terminated" in state]

    cluster.until(messages, lambda: cluster.get("pod", "app", namespace)["status"])
    assert '"reason":"Incomplete"' in messages()[0]


def test_an_oci_image(cluster: Cluster, namespace: str, models: Store) -> None:
    registry = os.environ.get("REGISTRY")
    if not registry:
        pytest.skip("REGISTRY is not set: the address of a registry that nodes and tests reach by HTTP")
    if reason := no_image_volumes(cluster):
        pytest.skip(reason)
    model = f"imaged-{uuid4().hex[:6]}"
    models.publish(model, "1.0.0")
    models.command("image", "push", f"{model}@1.0.0", f"{registry}/{model}", "--plain-http")
    wanted = workloads.pod(namespace, annotations=asking(model, "1.0.0", strategy="oci-image"))
    cluster.until(
        lambda: f"{registry}/{model}" in json.dumps(cluster.dry_run(wanted)["spec"]["volumes"]),
        lambda: "the webhook does not know the image",
    )

    cluster.create(wanted)

    assert files_of(cluster, namespace)["weights.bin"] == f"{model} 1.0.0"


def test_a_mount_of_s3(cluster: Cluster, namespace: str, injector: Release, models: Store) -> None:
    if not cluster.has("csidriver", MOUNTPOINT):
        pytest.skip(f"the cluster has no CSI driver {MOUNTPOINT}")
    ready_claim(cluster, namespace, injector, models, "s3-mount")
    cluster.create(workloads.pod(namespace, annotations=asking(strategy="s3-mount")))

    assert files_of(cluster, namespace).items() >= WEIGHTS.items()


@pytest.fixture
def node_with_a_model(cluster: Cluster) -> Iterator[None]:
    """One node has the model in a folder, and the label that says so."""
    node = node_files.write(cluster, "models/my-model-1.2.3/weights.bin", WEIGHTS["weights.bin"])
    cluster.kubectl("label", "node", node, "model-injector.io/node-image=my-model-1.2.3")
    yield
    cluster.kubectl("label", "node", node, "model-injector.io/node-image-")
    node_files.remove(cluster, "models")


@pytest.mark.usefixtures("node_with_a_model")
def test_a_folder_of_the_node(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("label", "namespace", namespace, PRIVILEGED, "--overwrite")

    cluster.create(workloads.pod(namespace, annotations=asking(strategy="node-image")))

    assert files_of(cluster, namespace) == WEIGHTS


@pytest.fixture
def volume(cluster: Cluster, namespace: str) -> Iterator[None]:
    """A claim of a volume that has the model."""
    path = f"volumes/{namespace}"
    node = node_files.write(cluster, f"{path}/my-model-1.2.3/weights.bin", WEIGHTS["weights.bin"])
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "e2e",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    cluster.create(node_files.volume(f"models-{namespace}", path, node, namespace, "models"), claim)
    yield
    cluster.kubectl("delete", "persistentvolume", f"models-{namespace}", "--wait=false")
    node_files.remove(cluster, path)


@pytest.mark.usefixtures("volume")
def test_a_volume_of_the_platform(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.pod(namespace, annotations=asking(strategy="volume")))

    assert files_of(cluster, namespace) == WEIGHTS


def test_the_controller_loads_a_shared_volume_and_pods_read_it(
    cluster: Cluster, loading_namespace: str, models: Store
) -> None:
    namespace = loading_namespace
    model = f"loaded-{uuid4().hex[:6]}"
    cluster.kubectl("create", "serviceaccount", "model-loader", "--namespace", namespace)
    models.publish(model, "1.0.0")
    selector = f"--selector=model-injector.io/model={model}"
    claims = "persistentvolumeclaims"
    cluster.until(lambda: cluster.objects(claims, namespace, selector), lambda: cluster.events(namespace))
    (claim,) = cluster.objects(claims, namespace, selector)
    name, path = claim["metadata"]["name"], f"volumes/{namespace}"
    node = node_files.write(cluster, f"{path}/empty", "")
    cluster.create(node_files.volume(f"loaded-{namespace}", path, node, namespace, name))
    try:
        state = ("--for=jsonpath={.metadata.labels.model-injector\\.io/state}=ready", f"pvc/{name}")
        cluster.kubectl("wait", *state, "--namespace", namespace, "--timeout=180s")
        wanted = workloads.pod(namespace, annotations=asking(model, "1.0.0", strategy="shared-volume, s3-init"))
        cluster.until(
            lambda: all("initContainers" not in made["spec"] for made in [cluster.dry_run(wanted)]),
            lambda: "the webhook does not know that the claim is ready",
        )
        cluster.create(wanted)

        assert files_of(cluster, namespace)["weights.bin"] == f"{model} 1.0.0"
    finally:
        cluster.kubectl("delete", "persistentvolume", f"loaded-{namespace}", "--wait=false")
        node_files.remove(cluster, path)


def no_image_volumes(cluster: Cluster) -> str:
    """Why pods cannot mount images in this cluster. Empty if they can."""
    if cluster.version < (1, 35):
        return "image volumes are enabled from Kubernetes 1.35 on"
    for node in cluster.objects("nodes", "default"):
        runtime = node["status"]["nodeInfo"]["containerRuntimeVersion"]
        containerd = re.fullmatch(r"containerd://(\d+)\.(\d+).*", runtime)
        if containerd and (int(containerd[1]), int(containerd[2])) < (2, 1):
            return f"the nodes have {runtime}: image volumes need containerd 2.1"
    return ""
