"""The cases of csi-sanity for a driver of inline volumes, and what kubelet asks when the driver registers."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from grpclib.exceptions import GRPCError

from tests.catalog.conftest import PREFIX
from tests.node_cache.conftest import SMALL, publish
from tests.node_cache.driver import Node, running_node
from tests.node_cache.test_driver import of_model
from tests.support import moto_s3
from webhook import __version__
from webhook.catalog.bucket.store import Credentials, Store
from webhook.model.source import Source
from webhook.node_cache.csi import CSI, REGISTRATION
from webhook.strategies.node_cache import DRIVER

UNKNOWN_FIELD = b"\xa2\x06\x01x"
"""The field 100, which is text."""
PUBLISH, UNPUBLISH = "csi.v1.Node/NodePublishVolume", "csi.v1.Node/NodeUnpublishVolume"


@pytest.fixture(scope="module")
def node(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node, and the version 1.0.0 of SMALL."""
    bucket, env = moto_s3.make_bucket(s3), dict[str, Any](moto_s3.CREDENTIALS)
    keys = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], "")
    settings: dict[str, Any] = {"bucket": bucket.name, "prefix": PREFIX, "endpointUrl": s3, "region": "us-east-1"}
    store = Store(Source(**settings), seconds=10, credentials=keys)
    publish(store, tmp_path_factory.mktemp("bucket"), SMALL)
    store.close()
    with running_node(settings, **env) as node:
        yield node


@pytest.fixture(autouse=True)
def mounts(node: Node) -> Iterator[None]:
    """Each test begins without volumes."""
    yield
    for pod in node.mounted():
        node.unmount(pod)
    assert node.mounted() == {}


def call(node: Node, method: str, request: Any) -> Any:
    return asyncio.run(node.call(method, request))


def status(node: Node, method: str, request: Any) -> str:
    with pytest.raises(GRPCError) as error:
        call(node, method, request)
    return error.value.status.name


def test_the_name_and_version_of_the_plugin(node: Node) -> None:
    info = call(node, "csi.v1.Identity/GetPluginInfo", CSI["GetPluginInfoRequest"]())
    assert (info.name, info.vendor_version) == (DRIVER, __version__)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", info.name)


def test_the_plugin_is_ready_and_has_no_controller(node: Node) -> None:
    assert call(node, "csi.v1.Identity/Probe", CSI["ProbeRequest"]()).ready.value
    capabilities = call(node, "csi.v1.Identity/GetPluginCapabilities", CSI["GetPluginCapabilitiesRequest"]())
    assert capabilities.SerializeToString() == b""


def test_the_node_has_a_name_and_needs_no_staging(node: Node) -> None:
    info = call(node, "csi.v1.Node/NodeGetInfo", CSI["NodeGetInfoRequest"]())
    assert (info.node_id, info.max_volumes_per_node) == ("node-1", 0)
    capabilities = call(node, "csi.v1.Node/NodeGetCapabilities", CSI["NodeGetCapabilitiesRequest"]())
    assert capabilities.SerializeToString() == b""


def test_the_driver_registers_at_kubelet_and_stays_whatever_that_says(node: Node) -> None:
    info = call(node, "pluginregistration.Registration/GetInfo", REGISTRATION["InfoRequest"]())
    assert (info.type, info.name, list(info.supported_versions)) == ("CSIPlugin", DRIVER, ["1.0.0"])
    assert info.endpoint in ("", str(node.socket))  # kubelet takes the socket that it asked if there is none
    for status in (
        REGISTRATION["RegistrationStatus"](plugin_registered=True),
        REGISTRATION["RegistrationStatus"](plugin_registered=False, error="no CSINode yet"),
    ):
        call(node, "pluginregistration.Registration/NotifyRegistrationStatus", status)
    assert node.socket.exists()
    node.mount()


@pytest.mark.parametrize("method", ["NodeStageVolume", "NodeUnstageVolume", "NodeGetVolumeStats", "NodeExpandVolume"])
def test_what_the_driver_does_not_have_is_unimplemented(method: str, node: Node) -> None:
    assert status(node, f"csi.v1.Node/{method}", node.request()) == "UNIMPLEMENTED"


CHANGES: dict[str, Callable[[Any], object]] = {
    "no volume id": lambda request: request.ClearField("volume_id"),
    "no target path": lambda request: request.ClearField("target_path"),
    "no capability": lambda request: request.ClearField("volume_capability"),
    "a capability of no type": lambda request: request.volume_capability.ClearField("mount"),
    "a block volume": lambda request: request.volume_capability.CopyFrom(
        CSI["VolumeCapability"](block=CSI["BlockVolume"]())
    ),
    "a target elsewhere": lambda request: setattr(request, "target_path", "/var/lib/elsewhere"),
    "no attributes": lambda request: request.ClearField("volume_context"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_volume_without_what_it_needs_is_an_invalid_argument(change: str, node: Node) -> None:
    request = node.request()
    CHANGES[change](request)
    assert status(node, PUBLISH, request) == "INVALID_ARGUMENT"
    assert not node.target("pod").exists()


@pytest.mark.parametrize("change", ["no volume id", "no target path", "a target elsewhere"])
def test_a_volume_that_is_not_named_is_not_removed(change: str, node: Node) -> None:
    node.mount()
    request = node.removal()
    CHANGES[change](request)
    assert status(node, UNPUBLISH, request) == "INVALID_ARGUMENT"
    assert list(node.mounted()) == ["pod"]


def test_what_is_asked_again_is_done_once(node: Node) -> None:
    for _ in range(2):
        node.mount()
    assert list(node.mounted()) == ["pod"]
    for _ in range(2):
        node.unmount()
    assert node.mounted() == {}
    assert not node.target("pod").exists()


def test_a_volume_that_never_was_is_removed(node: Node) -> None:
    node.unmount("unknown")
    node.target("empty").mkdir(parents=True)
    node.unmount("empty")
    assert not node.target("empty").exists()


def test_a_target_that_is_there_already_is_used(node: Node) -> None:
    node.target("pod").mkdir(parents=True, exist_ok=True)
    node.mount()
    assert of_model(node.files()) == SMALL


def test_a_target_whose_pod_is_gone_is_not_created(node: Node) -> None:
    """The specification has kubelet create the parents."""
    assert status(node, PUBLISH, node.request("gone")) == "UNAVAILABLE"
    assert not (node.kubelet / "pods" / "gone").exists()


def test_fields_of_later_versions_are_ignored(node: Node) -> None:
    node.target("pod").parent.mkdir(parents=True, exist_ok=True)
    for method, request in ((PUBLISH, node.request()), (UNPUBLISH, node.removal())):
        later = type(request).FromString(request.SerializeToString() + UNKNOWN_FIELD)
        assert UNKNOWN_FIELD in later.SerializeToString()
        call(node, method, later)
        assert list(node.mounted()) == (["pod"] if method == PUBLISH else [])


def test_a_volume_that_asks_to_be_writable_is_read_only_all_the_same(node: Node) -> None:
    node.target("pod").parent.mkdir(parents=True, exist_ok=True)
    request = node.request()
    request.readonly = False
    call(node, PUBLISH, request)
    assert "ro" in node.mounted()["pod"].split(",")
