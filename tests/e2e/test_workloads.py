"""Each kind of workload gets its model, in a namespace in which Pod Security enforces the level restricted."""

import json
from collections.abc import Callable

import pytest

from tests.e2e import workloads
from tests.e2e.cluster import JSON, Cluster
from tests.e2e.release import Calls
from tests.e2e.workloads import asking, pinned, template

pytestmark = pytest.mark.usefixtures("injector")


def assert_injected(pod: JSON, version: str = "1.2.3") -> None:
    """The pod has the init container, the mount and the variables of a version."""
    (injected,) = json.loads(pod["metadata"]["annotations"]["model-injector.io/injected"])
    assert (injected["model"], injected["version"]) == ("my-model", version)
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["fetch-my-model"]
    (app,) = pod["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in app["env"]}
    assert variables["MODEL_PATH"] == f"/model-artifacts/my-model-{version}"
    assert "/model-artifacts" in [mount["mountPath"] for mount in app["volumeMounts"]]


def test_a_bare_pod(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.pod(namespace, annotations=asking()))

    (pod,) = cluster.pods(namespace)
    assert_injected(pod)


@pytest.mark.usefixtures("controllers")
def test_a_deployment(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.deployment(namespace, template(asking()), replicas=2))

    for pod in cluster.pods(namespace, 2):
        assert_injected(pod)


@pytest.mark.usefixtures("controllers")
def test_a_stateful_set(cluster: Cluster, namespace: str) -> None:
    made = template(asking())
    cluster.create(workloads.stateful_set(namespace, made, replicas=2, podManagementPolicy="Parallel"))

    pods = cluster.pods(namespace, 2)
    assert sorted(pod["metadata"]["name"] for pod in pods) == ["app-0", "app-1"]
    for pod in pods:
        assert_injected(pod)


@pytest.mark.usefixtures("controllers")
def test_a_job(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.job(namespace, template(asking(), seconds=0)))

    (pod,) = cluster.pods(namespace)
    assert_injected(pod)


@pytest.mark.usefixtures("controllers")
def test_a_cron_job(cluster: Cluster, namespace: str) -> None:
    cluster.create(workloads.cron_job(namespace, template(asking(version="@champion"), seconds=0)))
    cluster.kubectl("create", "job", "--from=cronjob/app", "by-hand", "--namespace", namespace)

    (pod,) = cluster.pods(namespace)
    assert_injected(pod)


def test_a_daemon_set_is_pinned(cluster: Cluster, namespace: str) -> None:
    made = workloads.deployment(namespace, template(asking(version="^1.0")))
    cluster.create({**made, "kind": "DaemonSet"})

    assert pinned(cluster.get("daemonset", "app", namespace)) == "1.2.3"


@pytest.mark.usefixtures("controllers")
def test_unannotated_pods_cost_no_call(cluster: Cluster, namespace: str, calls: Callable[[], Calls]) -> None:
    before = calls()
    cluster.create(workloads.pod(namespace))
    cluster.create(workloads.deployment(namespace, template(), name="unannotated", replicas=2))
    for pod in cluster.pods(namespace, 3):
        assert "initContainers" not in pod["spec"]

    assert_one_more_call(cluster, namespace, calls, before)


def test_a_pod_that_opts_out_costs_no_call(cluster: Cluster, namespace: str, calls: Callable[[], Calls]) -> None:
    before = calls()
    cluster.create(workloads.pod(namespace, annotations=asking(inject="false")))
    (pod,) = cluster.pods(namespace)
    assert "initContainers" not in pod["spec"]

    assert_one_more_call(cluster, namespace, calls, before)


def test_a_namespace_that_opts_out_costs_no_call(cluster: Cluster, namespace: str, calls: Callable[[], Calls]) -> None:
    cluster.kubectl("label", "namespace", namespace, "model-injector.io/inject=false")
    before = calls()
    cluster.create(workloads.pod(namespace, annotations=asking()))
    (pod,) = cluster.pods(namespace)
    assert "initContainers" not in pod["spec"]

    cluster.kubectl("label", "namespace", namespace, "model-injector.io/inject-")
    assert_one_more_call(cluster, namespace, calls, before)


def assert_one_more_call(cluster: Cluster, namespace: str, calls: Callable[[], Calls], before: Calls) -> None:
    """The webhook is called for a pod that asks for a model, and was not called since `before`."""
    cluster.create(workloads.pod(namespace, "asking", asking()))
    cluster.until(lambda: calls().injected > before.injected, calls)
    assert calls().answered == before.answered + 1
