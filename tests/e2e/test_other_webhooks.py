"""Other teams' mutating webhooks, which the API server calls before and after the project's."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e import other_webhook, workloads
from tests.e2e.cluster import JSON, Cluster
from tests.e2e.release import Calls
from tests.e2e.workloads import asking

pytestmark = pytest.mark.usefixtures("injector")
CONFIGURATION = ("mutatingwebhookconfiguration", "model-injector")
Register = Callable[[str, str], None]


@pytest.fixture(scope="module")
def other(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JSON]:
    """The second webhook."""
    with other_webhook.serving(cluster, tmp_path_factory.mktemp("other")) as client:
        yield client


@pytest.fixture
def register(cluster: Cluster, namespace: str, other: JSON) -> Iterator[Register]:
    """Registers the second webhook under a name and with a path."""
    with ExitStack() as stack:

        def enter(name: str, path: str) -> None:
            stack.enter_context(other_webhook.registered(cluster, other, name, namespace, path))

            def is_asked() -> bool:
                (container,) = workloads.template()["spec"]["containers"]
                probe = workloads.pod(namespace, "probe", initContainers=[{**container, "name": "first"}])
                made = cluster.dry_run(probe)
                return len(made["spec"]["containers"]) == 2 or "initContainers" not in made["spec"]

            cluster.until(is_asked, lambda: f"{name} is not asked")

        yield enter


@pytest.fixture
def _is_asked_again(cluster: Cluster) -> Iterator[None]:
    """The chart's value webhook.reinvocationPolicy is IfNeeded."""
    _set_policy(cluster, "IfNeeded")
    yield
    _set_policy(cluster, "Never")


def test_a_sidecar_of_an_earlier_webhook_gets_the_model(cluster: Cluster, namespace: str, register: Register) -> None:
    register("a-earlier", "/sidecar")

    cluster.create(workloads.pod(namespace, annotations=asking()))

    assert mounting(cluster.get("pod", "app", namespace)) == ["app", "sidecar"]


def test_a_pod_is_complete_beside_a_sidecar_of_a_later_webhook(
    cluster: Cluster, namespace: str, register: Register, calls: Callable[[], Calls]
) -> None:
    register("z-later", "/sidecar")
    before = calls()

    cluster.create(workloads.pod(namespace, annotations=asking()))

    cluster.until(lambda: calls().answered == before.answered + 1, calls)
    assert mounting(cluster.get("pod", "app", namespace)) == ["app"]


@pytest.mark.usefixtures("_is_asked_again")
def test_a_sidecar_of_a_later_webhook_gets_the_model_if_the_webhook_is_asked_again(
    cluster: Cluster, namespace: str, register: Register, calls: Callable[[], Calls]
) -> None:
    register("z-later", "/sidecar")
    before = calls()

    cluster.create(workloads.pod(namespace, annotations=asking()))

    cluster.until(lambda: calls().answered == before.answered + 2, calls)
    pod = cluster.get("pod", "app", namespace)
    assert mounting(pod) == ["app", "sidecar"]
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["fetch-my-model"]


def test_the_guard_refuses_a_pod_whose_download_a_later_webhook_removed(
    cluster: Cluster, namespace: str, register: Register
) -> None:
    if cluster.version < (1, 30):
        pytest.skip("ValidatingAdmissionPolicy needs Kubernetes 1.30")
    register("z-later", "/strip")

    printed = cluster.refusal(workloads.pod(namespace, annotations=asking()))

    assert "lacks an init container that fetches one of them: another webhook has removed it" in printed


def mounting(pod: JSON) -> list[str]:
    """The containers that have the model."""
    containers = pod["spec"]["containers"]
    return [
        container["name"]
        for container in containers
        if "/model-artifacts" in [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        and "MODEL_PATH" in [variable["name"] for variable in container.get("env", ())]
    ]


def _set_policy(cluster: Cluster, policy: str) -> None:
    patch = [{"op": "replace", "path": "/webhooks/0/reinvocationPolicy", "value": policy}]
    cluster.kubectl("patch", *CONFIGURATION, "--type=json", "--patch", json.dumps(patch))
