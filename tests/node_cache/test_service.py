"""What kubelet, and authors of volumes, may ask for: messages, attributes and targets."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.fields.parsers import EXACT_VERSION
from webhook.node_cache.csi import CSI, REGISTRATION
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.protocol import Look, encode
from webhook.node_cache.publisher import Publisher
from webhook.node_cache.refusals import Refused
from webhook.node_cache.service import volume_of
from webhook.node_cache.worker_client import WorkerClient
from webhook.settings import Settings

POD = "csi.storage.k8s.io/"
TOKENS = f"{POD}serviceAccount.tokens"
VALID = {
    "model": "my-model",
    "version": "1.0.0",
    f"{POD}ephemeral": "true",
    f"{POD}pod.namespace": "team-a",
    f"{POD}serviceAccount.name": "default",
}
NAMES = st.sampled_from([*VALID, "source", "asked", "digest", "verify", TOKENS]) | st.text(max_size=5)
VALUES = st.sampled_from(["1.0.0\n", "latest", "../x", "true", "size", "none", "a" * 64, "@champion"]) | st.text()
KUBELET = "/not-there/kubelet"
TARGET = f"{KUBELET}/pods/0-a/volumes/kubernetes.io~csi/model-0/mount"


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.dictionaries(NAMES, VALUES, max_size=2))
def test_attributes_of_any_text_are_an_exact_version_or_refused(
    changed: dict[str, str], secrets: dict[str, str]
) -> None:
    try:
        volume = volume_of({**VALID, **changed}, secrets)
    except Refused:
        return
    assert EXACT_VERSION.fullmatch(volume.version)
    assert volume.verify in ("size", "sha256", "none")
    assert volume.pod
    assert "/" not in volume.pod.namespace + volume.pod.service_account


@pytest.mark.parametrize(
    "changed",
    [
        {f"{POD}ephemeral": "True"},
        {f"{POD}pod.namespace": "../kube-system"},
        {f"{POD}serviceAccount.name": "default?x"},
        {f"{POD}serviceAccount.name": "default\n"},
        {"version": "latest"},
        {"version": "1.0.0\n"},
        {"version": "@champion"},
        {"verify": "md5"},
        {"digest": "A" * 64},
        {"digest": "a" * 63},
        {"asked": "x\ny"},
        {"model": "x" * 513},
        {TOKENS: "x" * 65537},
        {f"name-{number}": "" for number in range(64)},
    ],
)
def test_attributes_that_the_webhook_and_kubelet_do_not_write_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(Refused, match="the driver needs"):
        volume_of({**VALID, **changed}, {})


@pytest.mark.parametrize("name", [name for name in VALID if name != "model"])
def test_attributes_that_are_missing_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        volume_of({key: value for key, value in VALID.items() if key != name}, {})


def test_the_longest_attributes_fit_into_a_request_to_the_worker() -> None:
    longest = dict.fromkeys(("model", "source"), "\x00" * 512)
    volume = volume_of({**VALID, **longest, "asked": "a" * 512, TOKENS: "\x00" * 65536}, {})
    assert len(encode(Look(1, volume))) < 1 << 20


def test_tokens_are_among_the_secrets_or_the_attributes() -> None:
    old, new = '{"sts.amazonaws.com": {"token": "old"}}', '{"sts.amazonaws.com": {"token": "new"}}'
    for context, secrets, token in (({TOKENS: old}, {}, "old"), ({TOKENS: old}, {TOKENS: new}, "new")):
        pod = volume_of({**VALID, **context}, secrets).pod
        assert pod
        assert pod.tokens == {"sts.amazonaws.com": token}


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    settings = Settings(bucket="my-bucket", strategies={"node-cache": {"kubeletFolder": KUBELET}})
    folder = CacheFolder(tmp_path_factory.mktemp("cache"))
    return Publisher(folder, WorkerClient(folder.root, settings, None), settings, CacheMetrics())


def is_accepted(publisher: Publisher, target: str) -> bool:
    """Whether a volume is unmounted there: nothing is mounted below the folder of no kubelet."""
    try:
        publisher.unpublish(target)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    "target",
    [
        *(TARGET.replace("0-a", pod) for pod in ("..", ".", "", "a/b", "é", "a\n", "a b", "a.b", "%2e%2e")),
        *(TARGET.replace("model-0", name) for name in ("..", ".", ".x", "", "a/b", "A", "a\x00", "a\n", "-a", "é")),
        *(TARGET.replace(KUBELET, root) for root in ("", "/", "/etc", f"{KUBELET}/..", f"{KUBELET}/pods/..", "var")),
        *(f"{TARGET}{end}" for end in ("/", "/..", "/x", "\n", "\x00", " ", "s")),
        *(TARGET.replace("/mount", end) for end in ("", "/../mount", "//mount", "/mnt")),
        *(f"/{TARGET}", TARGET.replace("/pods", "//pods"), TARGET.replace("~csi", "~nfs"), TARGET.upper()),
    ],
)
def test_a_target_that_is_not_that_of_a_volume_is_refused(target: str, publisher: Publisher) -> None:
    assert is_accepted(publisher, TARGET)
    assert not is_accepted(publisher, target)


PIECES = st.sampled_from(
    ["/", "..", ".", "pods", "mount", "\n", "\x00", "kubernetes.io~csi", "volumes", KUBELET, "é", "a"]
)


@given(data=st.data())
def test_no_target_leads_out_of_the_pods_folders(data: st.DataObject, publisher: Publisher) -> None:
    start, end = (data.draw(st.integers(0, len(TARGET))) for _ in range(2))
    target = TARGET[:start] + "".join(data.draw(st.lists(PIECES, max_size=4))) + TARGET[end:]
    if is_accepted(publisher, target):
        parts = Path(target).relative_to(f"{KUBELET}/pods").parts
        assert (parts[1:3], parts[4:]) == (("volumes", "kubernetes.io~csi"), ("mount",))
        assert str(Path(target)) == target
        assert ".." not in parts


def test_a_request_as_kubelet_encodes_it() -> None:
    """Bytes by the field numbers of csi.proto: a tag is the number and the type, here 2 for text and messages."""
    entry = b"\x0a\x05model\x12\x08my-model"
    encoded = (
        b"\x0a\x05csi-1"  # 1: volume_id
        b"\x12\x04\x0a\x00\x12\x00"  # 2: publish_context, which the driver ignores
        b"\x1a\x08/staging"  # 3: staging_target_path, which the driver ignores
        b"\x22\x02/t"  # 4: target_path
        b"\x2a\x08\x12\x02\x12\x00\x1a\x02\x08\x01"  # 5: volume_capability: 2: mount: 2: mount_flags, 3: access_mode
        b"\x30\x01"  # 6: readonly
        b"\x3a\x06\x0a\x01s\x12\x01t"  # 7: secrets
        b"\x42" + bytes([len(entry)]) + entry  # 8: volume_context
    )
    request = CSI["NodePublishVolumeRequest"].FromString(encoded)
    assert (request.volume_id, request.target_path, request.readonly) == ("csi-1", "/t", True)
    assert request.volume_capability.HasField("mount")
    assert not request.volume_capability.HasField("block")
    assert request.volume_capability.access_mode.mode == 1
    assert (dict(request.secrets), dict(request.volume_context)) == ({"s": "t"}, {"model": "my-model"})


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        (CSI["GetPluginInfoResponse"](name="n", vendor_version="1"), b"\x0a\x01n\x12\x011"),
        (CSI["ProbeResponse"](ready=CSI["BoolValue"](value=True)), b"\x0a\x02\x08\x01"),
        (CSI["NodeUnpublishVolumeRequest"](volume_id="v", target_path="/t"), b"\x0a\x01v\x12\x02/t"),
        (CSI["NodeGetInfoResponse"](node_id="n", max_volumes_per_node=3), b"\x0a\x01n\x10\x03"),
        (CSI["VolumeCapability"](block=CSI["BlockVolume"]()), b"\x0a\x00"),
        (
            REGISTRATION["PluginInfo"](type="t", name="n", endpoint="e", supported_versions=["1", "2"]),
            b"\x0a\x01t\x12\x01n\x1a\x01e\x22\x011\x22\x012",
        ),
        (REGISTRATION["RegistrationStatus"](plugin_registered=True, error="e"), b"\x08\x01\x12\x01e"),
    ],
)
def test_messages_have_the_numbers_of_the_specification(message: Any, encoded: bytes) -> None:
    assert message.SerializeToString(deterministic=True) == encoded
    assert type(message).FromString(encoded) == message
    unknown = type(message).FromString(encoded + b"\xaa\x06\x01x")
    assert {field.name: value for field, value in unknown.ListFields()} == {
        field.name: value for field, value in message.ListFields()
    }
