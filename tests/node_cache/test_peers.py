"""Nodes that get versions from each other, and what a peer gives to nobody else."""

import itertools
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, create_connection, socket
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node_cache.conftest import publish
from tests.node_cache.driver import Node, running_node
from tests.node_cache.test_driver import MIB, is_weights, of_model
from tests.support.faulty_proxy import FaultyProxy
from tests.support.polling import until
from webhook.catalog.bucket.store import CatalogError, Store, Unreachable
from webhook.errors import InvalidInput
from webhook.node_cache import peer_server
from webhook.node_cache.folder import CacheFolder, Marker
from webhook.node_cache.peer_server import opened
from webhook.node_cache.peer_signatures import HEADER, is_signed, read_key, sign
from webhook.node_cache.peers import find_peers
from webhook.strategies.node_cache import PeerSettings

KEY = b"k" * 32
FILES = {"weights.bin": random.Random(3).randbytes(40 * MIB), "more/weights-1.bin": b"x"}  # noqa: S311
MARKER = Marker("default", "my-model", "1.0.0", "s3://b/my-model-1.0.0", "0" * 64, 1, 1, 1.0, "sha256", "")


def free_port() -> int:
    with socket(AF_INET, SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def two_nodes(settings: dict[str, Any], folder: Path, other_key: bytes = KEY) -> Iterator[tuple[Node, Node]]:
    """Two nodes at one port of two addresses of this machine. The first has the version already."""
    port = free_port()
    for name, key in (("key", KEY), ("other", other_key)):
        (folder / name).write_bytes(key)
    peers = {"service": "127.0.0.2", "port": port, "address": "127.0.0.2", "keyFile": str(folder / "key")}
    second = {**peers, "address": "127.0.0.3", "keyFile": str(folder / "other")}
    with (
        running_node({**settings, "options": {"peers": peers}}, POD_IP="127.0.0.2") as one,
        running_node({**settings, "options": {"peers": second}}, POD_IP="127.0.0.3") as other,
    ):
        until(lambda: answers(f"http://127.0.0.2:{port}"))
        one.mount()
        yield one, other


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 403
    except httpx.TransportError:
        return False


def reads(proxy: FaultyProxy) -> int:
    """How many parts were read from S3."""
    return proxy.count(is_weights)


def test_a_node_gets_a_version_from_another_node(
    store: Store, settings: dict[str, Any], proxy: FaultyProxy, tmp_path: Path
) -> None:
    publish(store, tmp_path, FILES)
    with two_nodes(settings, tmp_path) as (one, other):
        before = reads(proxy)
        other.mount()
        assert of_model(other.files()) == FILES
        assert reads(proxy) == before
        assert other.metrics()["peer_bytes_total"] > 40 * MIB
        assert one.metrics()["peer_bytes_total"] == 0


def test_without_the_key_a_node_uses_s3(
    store: Store, settings: dict[str, Any], proxy: FaultyProxy, tmp_path: Path
) -> None:
    publish(store, tmp_path, FILES)
    with two_nodes(settings, tmp_path, b"another key, of the same length!") as (_, other):
        before = reads(proxy)
        other.mount()
        assert of_model(other.files()) == FILES
        assert reads(proxy) > before


def test_a_peer_that_has_other_bytes_is_found_out(store: Store, settings: dict[str, Any], tmp_path: Path) -> None:
    publish(store, tmp_path, FILES)
    with two_nodes(settings, tmp_path) as (one, other):
        (file,) = (one.cache / "versions").glob("*/files/weights.bin")
        with file.open("r+b") as opened_file:
            opened_file.write(b"wrong")
        other.mount()
        assert of_model(other.files()) == FILES
        assert any(line["message"] == "a peer has sent wrong bytes" for line in other.log())


def test_a_peer_that_went_is_no_loss(store: Store, settings: dict[str, Any], tmp_path: Path) -> None:
    publish(store, tmp_path, FILES)
    with two_nodes(settings, tmp_path) as (one, other):
        one.kill()
        other.mount()
        assert of_model(other.files()) == FILES


@pytest.mark.parametrize(
    ("method", "target", "span", "age", "key"),
    [
        ("HEAD", "/a", "", 0, KEY),
        ("GET", "/b", "", 0, KEY),
        ("GET", "/a", "bytes=0-1", 0, KEY),
        ("GET", "/a", "", 61, KEY),
        ("GET", "/a", "", -61, KEY),
        ("GET", "/a", "", 0, b"z" * 32),
    ],
)
def test_a_signature_is_of_one_request_and_does_not_last(
    method: str, target: str, span: str, age: float, key: bytes
) -> None:
    header = sign(KEY, "GET", "/a", "", 1000.0)
    assert is_signed(KEY, header, "GET", "/a", "", 1059.0)
    assert not is_signed(key, header, method, target, span, 1000.0 + age)


@given(st.text())
def test_no_other_header_is_a_signature(header: str) -> None:
    assert not is_signed(KEY, header, "GET", "/a", "", time.time())


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short\n")
    for name in ("key", "missing"):
        with pytest.raises(InvalidInput, match="the key of the peers"):
            read_key(str(tmp_path / name))


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> CacheFolder:
    """A version with one file, a link out of it, and a secret beside it."""
    folder = CacheFolder(tmp_path_factory.mktemp("cache"))
    files = folder.partial("a" * 40) / "files"
    (files / "sub").mkdir()
    (files / "sub" / "file").write_bytes(b"x")
    (files / "link").symlink_to("/etc/passwd")
    (files / "folder").symlink_to("/etc")
    os.mkfifo(files / "pipe")
    folder.finish("a" * 40, MARKER)
    (folder.root / "secret").write_bytes(b"s")
    return folder


def test_a_peer_opens_the_files_of_a_version(cached: CacheFolder) -> None:
    with opened(cached, "a" * 40, "sub/file") as file:
        assert os.read(file, 9) == b"x"


@pytest.mark.parametrize(
    "path", ["link", "folder/passwd", "pipe", "sub", "../marker.json", "/etc/passwd", "sub/../../../secret", "", "a\0b"]
)
def test_a_peer_opens_nothing_else(cached: CacheFolder, path: str) -> None:
    with pytest.raises(OSError, match=r".*"), opened(cached, "a" * 40, path):
        pass
    with pytest.raises(FileNotFoundError), opened(cached, "b" * 40, "sub/file"):
        pass


@given(st.text(alphabet="./ab\0é%"))
def test_no_path_leads_out_of_a_version(cached: CacheFolder, path: str) -> None:
    try:
        with opened(cached, "a" * 40, path) as file:
            assert os.path.realpath(f"/proc/self/fd/{file}").startswith(str(cached.root / "versions"))
    except (OSError, ValueError):
        return


@contextmanager
def serving(folder: CacheFolder, address: str, key_file: Path) -> Iterator[tuple[peer_server._Server, PeerSettings]]:
    """The server in this process, and the settings of a node that asks it."""
    server = peer_server._Server(PeerSettings(address=address, port=free_port(), key_file=str(key_file)), folder)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        port = server.socket.getsockname()[1]
        yield server, PeerSettings(service=address, port=port, key_file=str(key_file))
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_bytes(KEY)
    return tmp_path / "key"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_peers_have_addresses_of_both_families(address: str, cached: CacheFolder, key_file: Path) -> None:
    with serving(cached, address, key_file) as (_, options):
        found = find_peers(options, "a" * 40)
        assert found
        assert b"".join(found.stream("sub/file", 0, 0)) == b"x"
        assert find_peers(options, "b" * 40) is None


def test_a_node_does_not_ask_itself(cached: CacheFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_IP", "0:0:0:0:0:0:0:1")
    with serving(cached, "::1", key_file) as (_, options):
        assert find_peers(options, "a" * 40) is None


def test_what_a_peer_sends_too_slowly_is_left_to_s3(
    cached: CacheFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(cached, "127.0.0.1", key_file) as (_, options):
        found = find_peers(options, "a" * 40)
        assert found
        monkeypatch.setattr(found, "_clock", itertools.count(0, 60).__next__)
        sent = found.stream("sub/file", 0, 0)
        assert next(sent) == b"x"
        with pytest.raises(Unreachable, match="too slowly"):
            next(sent)


def test_connections_without_a_request_do_not_keep_others_out(
    cached: CacheFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_server, "_HEADER_SECONDS", 0.2)
    with serving(cached, "127.0.0.1", key_file) as (_, options), ExitStack() as idle:
        for number in range(70):
            connection = idle.enter_context(create_connection(("127.0.0.1", options.port)))
            connection.sendall(b"GET / HTTP/1.1\r\n" if number % 2 else b"")
        until(lambda: find_peers(options, "a" * 40) is not None)


def test_a_peer_that_sends_enough_already_says_so(cached: CacheFolder, key_file: Path) -> None:
    with serving(cached, "127.0.0.1", key_file) as (server, options):
        found = find_peers(options, "a" * 40)
        assert found
        while server.bodies.acquire(blocking=False):
            pass
        with pytest.raises(CatalogError, match="answers 503"):
            next(found.stream("sub/file", 0, 0))


def test_a_key_that_was_replaced_counts_at_once(cached: CacheFolder, key_file: Path) -> None:
    with serving(cached, "127.0.0.1", key_file) as (_, options):
        assert find_peers(options, "a" * 40)
        target = f"/{'a' * 40}"
        before = sign(KEY, "HEAD", target, "", time.time())
        key_file.write_bytes(b"n" * 32)
        assert find_peers(options, "a" * 40)
        url = f"http://127.0.0.1:{options.port}{target}"
        assert httpx.head(url, headers={HEADER: before}, trust_env=False).status_code == 403
