"""The controller restarts workloads that follow an alias, and loads what is published."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.e2e import stand_in_kubelet, workloads
from tests.e2e.cluster import JSON, Cluster
from tests.e2e.release import Release
from tests.e2e.store import Store
from tests.e2e.test_pinning import version
from tests.e2e.workloads import asking, pinned, template

pytestmark = pytest.mark.usefixtures("injector", "controllers")
BAD = "2.0.0-bad"
PROBE = {
    "exec": {"command": ["python3", "-c", f"import os, sys; sys.exit(os.environ['MODEL_VERSION'] == '{BAD}')"]},
    "periodSeconds": 1,
}
"""A container with the version 2.0.0-bad is never ready."""


@pytest.fixture
def model(models: Store) -> str:
    """A model with two versions, whose alias `champion` is the older one."""
    name = f"followed-{uuid4().hex[:6]}"
    for each in ("1.0.0", "2.0.0"):
        models.publish(name, each)
    models.set_alias(name, "champion", "1.0.0")
    return name


@pytest.fixture
def _running(cluster: Cluster, namespace: str) -> Iterator[None]:
    """Pods become ready, except those with the version 2.0.0-bad."""
    with stand_in_kubelet.reporting(cluster, namespace, lambda pod: version(pod) != BAD):
        yield


@pytest.mark.usefixtures("_running")
def test_a_deployment_that_follows_an_alias_gets_its_new_version_and_others_stay(
    cluster: Cluster, namespace: str, models: Store, model: str
) -> None:
    staying = workloads.deployment(namespace, template(asking(model, "@champion")), "staying", replicas=0)
    cluster.create(following(namespace, model), staying)
    await_available(cluster, namespace, "1.0.0")

    models.set_alias(model, "champion", "2.0.0")

    await_available(cluster, namespace, "2.0.0")
    await_event(cluster, namespace, f"RolloutDone: {model} @champion from 1.0.0 to 2.0.0")
    assert [version(pod) for pod in cluster.pods(namespace, 2)] == ["2.0.0"] * 2
    assert pinned(cluster.get("deployment", "staying", namespace)) == "1.0.0"


@pytest.mark.usefixtures("_running")
def test_a_version_that_does_not_become_available_is_undone_when_the_alias_moves_back(
    cluster: Cluster, namespace: str, models: Store, model: str
) -> None:
    cluster.create(following(namespace, model))
    await_available(cluster, namespace, "1.0.0")
    models.publish(model, BAD)
    models.set_alias(model, "champion", BAD)
    await_event(cluster, namespace, f"RolloutStarted: {model} @champion from 1.0.0 to {BAD}")

    models.set_alias(model, "champion", "1.0.0")

    await_event(cluster, namespace, f"RolloutUndone: {model} @champion from 1.0.0 to {BAD} is undone")
    await_available(cluster, namespace, "1.0.0")
    assert [version(pod) for pod in cluster.pods(namespace, 2)] == ["1.0.0"] * 2


def test_a_published_version_is_loaded_into_a_claim_of_the_namespace(
    cluster: Cluster, loading_namespace: str, models: Store
) -> None:
    namespace = loading_namespace
    model = f"loaded-{uuid4().hex[:6]}"
    models.publish(model, "1.0.0")

    selector = f"--selector=model-injector.io/model={model}"
    cluster.until(lambda: cluster.objects("jobs", namespace, selector), lambda: cluster.events(namespace))
    (claim,) = cluster.objects("persistentvolumeclaims", namespace, selector)
    assert claim["metadata"]["labels"]["model-injector.io/version"] == "1.0.0"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    (job,) = cluster.objects("jobs", namespace, selector)
    (volume,) = job["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_one_controller_is_elected(cluster: Cluster, injector: Release) -> None:
    (lease,) = cluster.objects("leases", injector.namespace)

    assert lease["metadata"]["name"] == f"{injector.name}-controller"
    assert lease["spec"]["holderIdentity"]


def following(namespace: str, model: str) -> JSON:
    """A Deployment that follows an alias."""
    made = template(asking(model, "@champion", follow="true"))
    made["spec"]["containers"][0]["readinessProbe"] = PROBE
    return workloads.deployment(namespace, made, replicas=2)


def await_available(cluster: Cluster, namespace: str, expected: str) -> None:
    """Wait until all replicas of the Deployment have the version, and are available."""

    def is_available() -> bool:
        found = cluster.get("deployment", "app", namespace)
        status = found["status"]
        return (
            pinned(found) == expected
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 2
        )

    cluster.until(is_available, lambda: (cluster.get("deployment", "app", namespace), cluster.events(namespace)))


def await_event(cluster: Cluster, namespace: str, text: str) -> None:
    """Wait for an event that starts with this text."""
    cluster.until(
        lambda: any(event.startswith(text) for event in cluster.events(namespace)), lambda: cluster.events(namespace)
    )
