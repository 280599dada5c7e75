"""A real API server, the chart installed in it, and a namespace for each test. See docs/e2e.md."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e import control_plane, release, store
from tests.e2e.cluster import Cluster
from tests.e2e.release import Calls, Release
from tests.e2e.store import Store
from tests.e2e.workloads import RESTRICTED

_HERE = Path(__file__).parent


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C: fixtures stop the servers, and remove what they have created in the cluster."""
    if "E2E" in os.environ:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only scripts/e2e runs these tests: they take minutes, and change the cluster of the kubeconfig."""
    if "E2E" in os.environ:
        return
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs a real API server: run scripts/e2e"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For files of the session."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster of KUBECONFIG, else an API server from KUBEBUILDER_ASSETS."""
    given = os.environ.get("KUBECONFIG")
    if given:
        yield Cluster(Path(given), runs_pods=True)
        return
    binaries = Path(os.environ["KUBEBUILDER_ASSETS"])
    with control_plane.running(binaries, folder) as kubeconfig:
        made = Cluster(kubeconfig, runs_pods=False, has_controllers=control_plane.has_controllers(binaries))
        _ensure_account(made, "default")
        yield made


@pytest.fixture(scope="session")
def controllers(cluster: Cluster) -> None:
    """For tests of what controllers of Kubernetes create or delete."""
    if not cluster.has_controllers:
        pytest.skip("KUBEBUILDER_ASSETS has no kube-controller-manager")


@pytest.fixture(scope="session")
def nodes(cluster: Cluster) -> None:
    """For tests whose pods run."""
    if not cluster.runs_pods:
        pytest.skip("the API server of KUBEBUILDER_ASSETS has no nodes: set KUBECONFIG")


@pytest.fixture(scope="session")
def store_of_session(cluster: Cluster, folder: Path) -> Iterator[Store]:
    """The S3 server, with three versions of a model and an alias."""
    with store.running(cluster, folder) as running:
        for version in ("1.0.0", "1.2.3", "2.0.0"):
            running.publish("my-model", version)
        running.set_alias("my-model", "champion", "1.2.3")
        yield running


@pytest.fixture(scope="session")
def injector(cluster: Cluster, store_of_session: Store, folder: Path) -> Iterator[Release]:
    """The chart, installed."""
    with release.installed(cluster, store_of_session, folder) as running:
        yield running


@pytest.fixture
def models(injector: Release, store_of_session: Store) -> Store:  # noqa: ARG001 - the webhook has read it
    """The S3 server of the installed webhook."""
    return store_of_session


@pytest.fixture
def namespace(cluster: Cluster, injector: Release) -> Iterator[str]:  # noqa: ARG001 - before pods are created
    """A namespace in which Pod Security enforces the level restricted."""
    with _namespace(cluster, "e2e-pods") as name:
        yield name


@pytest.fixture
def loading_namespace(cluster: Cluster, injector: Release) -> Iterator[str]:  # noqa: ARG001 - before pods are created
    """Such a namespace, into which the controller loads versions."""
    with _namespace(cluster, "e2e-loads") as name:
        yield name


@pytest.fixture
def calls(cluster: Cluster, injector: Release, namespace: str) -> Callable[[], Calls]:
    """Gives how often the webhook was called so far. Nothing but the test calls it meanwhile."""

    def others() -> list[str]:
        listed = cluster.kubectl("get", "namespaces", "--output=name").split()
        return [each for each in listed if "/e2e-pods-" in each and not each.endswith(namespace)]

    if cluster.has_controllers:  # those of earlier tests try to create their pods until their namespaces are gone
        cluster.until(lambda: not others(), others)
    return injector.calls


@contextmanager
def _namespace(cluster: Cluster, prefix: str) -> Iterator[str]:
    name = f"{prefix}-{uuid4().hex[:8]}"
    metadata = {"name": name, "labels": RESTRICTED}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    _ensure_account(cluster, name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _ensure_account(cluster: Cluster, namespace: str) -> None:
    """Wait for the namespace's service account, without which there are no pods."""
    if not cluster.has_controllers:
        cluster.kubectl("create", "serviceaccount", "default", "--namespace", namespace)
    cluster.until(lambda: cluster.has("serviceaccount", "default", namespace), lambda: "no service account")
