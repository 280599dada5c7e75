"""A pod whose traffic a mesh redirects before its init containers run: the user that `inject` chooses has a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.admission.conftest import Injector
from tests.fetching.conftest import Model, Store
from tests.support import network, rclone
from tests.support.container import NO_RETRY, InitContainer, Options
from tests.support.folder import Folder
from tests.support.network import Network
from webhook.kubernetes.mesh import MESHES
from webhook.settings import Settings

FILES = {"config.json": b"{}", "weights.bin": bytes(range(256)) * 4096}
GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(params=["istio-cni", "linkerd-cni"])
def user(request: pytest.FixtureRequest) -> int:
    """The user of the init container in a pod of one of the golden manifests."""
    pod = yaml.safe_load((GOLDEN / f"{request.param}.yaml").read_text())
    changed = Injector(Settings(bucket="my-ml-bucket"))(pod)
    chosen: int = changed["spec"]["initContainers"][0]["securityContext"]["runAsUser"]
    assert chosen in {mesh.user for mesh in MESHES}
    return chosen


@pytest.fixture
def pod_network(user: int) -> Iterator[Network]:
    with network.redirected(except_user=user) as pod:
        yield pod


@pytest.fixture
def options(pod_network: Network, store: Store, model: Model, tmp_path: Path) -> Iterator[Options]:
    """For a run beside an S3 server that the pod's network reaches."""
    model.write(FILES)
    with rclone.serve(store.root, tmp_path / "server.log", inside=pod_network.inside()) as url:
        yield Options(env={"S3_ENDPOINT_URL": url}, flags=NO_RETRY, limit=10, skip_pauses=True)


def test_the_proxys_user_downloads(
    fetch: InitContainer, volume: Folder, options: Options, pod_network: Network, user: int
) -> None:
    options["inside"] = pod_network.as_user(user)
    assert fetch(**options).reason == "Complete"
    assert volume.read() == FILES


def test_any_other_user_cannot_reach_s3(fetch: InitContainer, options: Options, pod_network: Network) -> None:
    options["inside"] = pod_network.as_user(65532)
    outcome = fetch(**options)
    assert outcome.reason == "Unreachable"
    assert "connection refused" in outcome.message.message
