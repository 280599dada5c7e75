"""A workload keeps the version that its reference meant, until its rollout is restarted."""

import json
from uuid import uuid4

import pytest

from tests.e2e import workloads
from tests.e2e.cluster import JSON, Cluster
from tests.e2e.store import Store
from tests.e2e.workloads import asking, pinned, template

pytestmark = pytest.mark.usefixtures("injector", "controllers")


def version(pod: JSON) -> str:
    """The version that a pod has."""
    (injected,) = json.loads(pod["metadata"]["annotations"]["model-injector.io/injected"])
    found: str = injected["version"]
    return found


@pytest.fixture
def model(models: Store) -> str:
    """A model with two versions, whose alias `champion` is the older one."""
    name = f"pinned-{uuid4().hex[:6]}"
    for each in ("1.0.0", "2.0.0"):
        models.publish(name, each)
    models.set_alias(name, "champion", "1.0.0")
    return name


def move(cluster: Cluster, models: Store, model: str, namespace: str) -> None:
    """Let the alias be the newer version, and wait until the webhook knows."""
    models.set_alias(model, "champion", "2.0.0")
    probe = workloads.pod(namespace, "probe", asking(model, "@champion"))

    def meant() -> str:
        return version(cluster.dry_run(probe))

    cluster.until(lambda: meant() == "2.0.0", meant)


def test_scale_restart_and_rollback(cluster: Cluster, namespace: str, models: Store, model: str) -> None:
    where = ("--namespace", namespace)
    cluster.create(workloads.deployment(namespace, template(asking(model, "@champion")), strategy={"type": "Recreate"}))
    assert [version(pod) for pod in cluster.pods(namespace)] == ["1.0.0"]
    move(cluster, models, model, namespace)

    cluster.kubectl("scale", "deployment", "app", "--replicas=3", *where)
    assert [version(pod) for pod in cluster.pods(namespace, 3)] == ["1.0.0"] * 3

    cluster.kubectl("set", "env", "deployment/app", "CHANGED=yes", *where)
    assert pinned(cluster.get("deployment", "app", namespace)) == "1.0.0"

    cluster.kubectl("rollout", "restart", "deployment/app", *where)
    assert pinned(cluster.get("deployment", "app", namespace)) == "2.0.0"
    assert_all(cluster, namespace, "2.0.0")

    cluster.kubectl("rollout", "undo", "deployment/app", *where)
    assert pinned(cluster.get("deployment", "app", namespace)) == "1.0.0"
    assert_all(cluster, namespace, "1.0.0")


def test_a_replaced_workload_keeps_its_version(cluster: Cluster, namespace: str, models: Store, model: str) -> None:
    manifest = workloads.deployment(namespace, template(asking(model, "@champion")), replicas=0)
    cluster.create(manifest)
    move(cluster, models, model, namespace)

    cluster.kubectl("replace", "--filename=-", content=json.dumps(manifest))

    assert pinned(cluster.get("deployment", "app", namespace)) == "1.0.0"


def test_a_new_workload_gets_the_new_version(cluster: Cluster, namespace: str, models: Store, model: str) -> None:
    move(cluster, models, model, namespace)

    cluster.create(workloads.stateful_set(namespace, template(asking(model, "@champion"))))

    assert_all(cluster, namespace, "2.0.0", count=1)


def assert_all(cluster: Cluster, namespace: str, expected: str, count: int = 3) -> None:
    """Soon, all pods have the version."""

    def found() -> list[str]:
        return [version(pod) for pod in cluster.pods(namespace, count)]

    cluster.until(lambda: found() == [expected] * count, found)
