"""The ways in which clients write objects: apply by client and by server, dry runs, updates, deletion."""

import json
from collections.abc import Callable

import pytest

from tests.e2e import workloads
from tests.e2e.cluster import Cluster
from tests.e2e.release import Calls
from tests.e2e.workloads import asking, pinned, template

pytestmark = pytest.mark.usefixtures("injector")
SERVER_SIDE = "--server-side"


@pytest.mark.parametrize("options", [(), (SERVER_SIDE,)], ids=["client side", "server side"])
def test_applying_a_manifest_again_changes_nothing(cluster: Cluster, namespace: str, options: tuple[str, ...]) -> None:
    manifest = workloads.deployment(namespace, template(asking(version="@champion")))
    cluster.apply(manifest, options=options)
    before = cluster.get("deployment", "app", namespace)
    assert pinned(before) == "1.2.3"

    cluster.apply(manifest, options=options)

    after = cluster.get("deployment", "app", namespace)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"] == before["spec"]


@pytest.mark.parametrize("options", [(), (SERVER_SIDE,)], ids=["client side", "server side"])
def test_a_diff_with_what_was_applied_is_empty(cluster: Cluster, namespace: str, options: tuple[str, ...]) -> None:
    # Not of a Deployment, whose status changes meanwhile.
    manifest = workloads.cron_job(namespace, template(asking(version="@champion")))
    cluster.apply(manifest, options=options)

    assert cluster.kubectl("diff", "--filename=-", *options, content=json.dumps(manifest)) == ""


def test_a_pod_is_applied_by_the_server(cluster: Cluster, namespace: str) -> None:
    manifest = workloads.pod(namespace, annotations=asking())
    cluster.apply(manifest, options=(SERVER_SIDE,))

    printed = cluster.apply(manifest, options=(SERVER_SIDE,))

    assert "serverside-applied" in printed
    (fetch,) = cluster.get("pod", "app", namespace)["spec"]["initContainers"]
    assert fetch["name"] == "fetch-my-model"


def test_a_dry_run_shows_the_pod_and_stores_nothing(cluster: Cluster, namespace: str) -> None:
    manifest = workloads.pod(namespace, annotations=asking())

    made = cluster.dry_run(manifest)

    assert made["spec"]["initContainers"][0]["name"] == "fetch-my-model"
    assert not cluster.has("pod", "app", namespace)


def test_updates_and_the_deletion_of_a_pod_cost_no_call(
    cluster: Cluster, namespace: str, calls: Callable[[], Calls]
) -> None:
    manifest = workloads.pod(namespace, annotations=asking())
    manifest["metadata"]["finalizers"] = ["example.com/held"]
    before = calls()
    cluster.create(manifest)
    cluster.until(lambda: calls().injected > before.injected, calls)

    cluster.kubectl("label", "pod", "app", "--namespace", namespace, "a=b")
    cluster.kubectl("delete", "pod", "app", "--namespace", namespace, "--wait=false")
    remove = '[{"op": "remove", "path": "/metadata/finalizers"}]'
    cluster.kubectl("patch", "pod", "app", "--namespace", namespace, "--type=json", "--patch", remove)

    cluster.until(lambda: not cluster.has("pod", "app", namespace), lambda: cluster.get("pod", "app", namespace))
    cluster.create(workloads.pod(namespace, "next", asking()))
    cluster.until(lambda: calls().injected > before.injected + 1, calls)
    assert calls().answered == before.answered + 2


@pytest.mark.usefixtures("controllers")
def test_a_workload_is_deleted_with_its_pods(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.deployment(namespace, template(asking()), replicas=2))
    cluster.pods(namespace, 2)

    cluster.kubectl("delete", "deployment", "app", "--namespace", namespace)

    cluster.until(lambda: not cluster.objects("pods", namespace), lambda: cluster.objects("pods", namespace))
