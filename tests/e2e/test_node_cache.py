"""The node cache: a node downloads a version once, and its pods keep it while the driver is away."""

from uuid import uuid4

import pytest

from tests.e2e import workloads
from tests.e2e.cluster import Cluster
from tests.e2e.reading import await_ready, files_of
from tests.e2e.release import Release, metrics_of
from tests.e2e.store import Store
from tests.e2e.workloads import asking

pytestmark = pytest.mark.usefixtures("nodes", "injector")
COMPONENT = "app.kubernetes.io/component=node-cache"


@pytest.fixture
def model(models: Store) -> str:
    """A model that no node has."""
    name = f"cached-{uuid4().hex[:6]}"
    models.publish(name, "1.0.0")
    return name


def test_two_pods_of_a_node_share_one_download(cluster: Cluster, namespace: str, injector: Release, model: str) -> None:
    before = cached(cluster, injector)
    cluster.create(workloads.pod(namespace, "first", asking(model, "1.0.0", strategy="node-cache")))
    first = files_of(cluster, namespace, "pod/first")
    node = cluster.get("pod", "first", namespace)["spec"]["nodeName"]

    same = {"nodeSelector": {"kubernetes.io/hostname": node}}
    cluster.create(workloads.pod(namespace, "second", asking(model, "1.0.0", strategy="node-cache"), **same))
    second = files_of(cluster, namespace, "pod/second")

    assert first == second
    assert first["weights.bin"] == f"{model} 1.0.0"
    misses, hits = cached(cluster, injector)
    assert (misses - before[0], hits - before[1]) == (1, 1)


def test_a_container_cannot_write_to_the_cache(cluster: Cluster, namespace: str, model: str) -> None:
    cluster.create(workloads.pod(namespace, annotations=asking(model, "1.0.0", strategy="node-cache")))
    await_ready(cluster, namespace)

    write = (
        "import os, pathlib\ntry: pathlib.Path(os.environ['MODEL_PATH'], 'new').touch()\nexcept OSError as e: print(e)"
    )
    printed = cluster.kubectl("exec", "app", "--namespace", namespace, "--", "python3", "-c", write)

    assert "Read-only file system" in printed


def test_pods_keep_their_files_while_the_driver_is_replaced(
    cluster: Cluster, namespace: str, injector: Release, model: str
) -> None:
    cluster.create(workloads.pod(namespace, annotations=asking(model, "1.0.0", strategy="node-cache")))
    await_ready(cluster, namespace)
    where = ("--namespace", injector.namespace)

    cluster.kubectl("delete", "pod", f"--selector={COMPONENT}", *where)
    read = "import os, pathlib; print(pathlib.Path(os.environ['MODEL_PATH'], 'weights.bin').read_text())"
    printed = cluster.kubectl("exec", "app", "--namespace", namespace, "--", "python3", "-c", read)
    assert printed.startswith(f"{model} 1.0.0")

    cluster.kubectl("rollout", "status", f"daemonset/{injector.name}-node-cache", *where, "--timeout=120s")
    cluster.create(workloads.pod(namespace, "next", asking(model, "1.0.0", strategy="node-cache")))
    assert files_of(cluster, namespace, "pod/next")["weights.bin"] == f"{model} 1.0.0"


def cached(cluster: Cluster, injector: Release) -> tuple[float, float]:
    """How many volumes needed a download, and how many did not."""
    found = metrics_of(cluster, injector.namespace, COMPONENT)
    prefix = "model_injector_node_cache"
    return found[f"{prefix}_misses_total"], found[f"{prefix}_hits_total"]
