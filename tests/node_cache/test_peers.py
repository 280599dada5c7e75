"""Nodes that get versions from each other, and peers that are slow, busy, gone, or lie."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.node_cache.conftest import publish
from tests.node_cache.driver import Node, running_node
from tests.node_cache.test_driver import MIB, is_weights, of_model
from tests.support.faulty_proxy import FaultyProxy
from tests.support.polling import until
from webhook.catalog.bucket.errors import CatalogError, Unreachable
from webhook.catalog.bucket.store import Store
from webhook.node_cache import peers
from webhook.node_cache.peers import PeersOrigin, find_peers
from webhook.strategies.node_cache import PeerSettings

KEY = b"k" * 32
FILES = {"weights.bin": random.Random(3).randbytes(40 * MIB), "more/weights-1.bin": b"x"}  # noqa: S311


def free_port() -> int:
    with socket.socket() as probe:
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


def test_a_key_that_cannot_be_read_is_no_reason_for_a_pod_to_wait(
    store: Store, settings: dict[str, Any], tmp_path: Path
) -> None:
    publish(store, tmp_path, FILES)
    options = {"peers": {"service": "127.0.0.2", "address": "127.0.0.3", "keyFile": str(tmp_path / "missing")}}
    with running_node({**settings, "options": {"peers": {**options["peers"], "port": free_port()}}}) as node:
        node.mount()
        assert of_model(node.files()) == FILES
        (line,) = [line for line in node.log() if line["message"] == "peers are not asked"]
        assert "missing, cannot be read: No such file" in line["problem"]


def test_a_peer_that_went_is_no_loss(store: Store, settings: dict[str, Any], tmp_path: Path) -> None:
    publish(store, tmp_path, FILES)
    with two_nodes(settings, tmp_path) as (one, other):
        one.kill()
        other.mount()
        assert of_model(other.files()) == FILES


Behaviour = Callable[[socket.socket], None]


@contextmanager
def peer(*behaviours: Behaviour) -> Iterator[tuple[int, list[bytes]]]:
    """A peer that treats each connection by the next of these, and all later ones by the last. Its port, and heads."""
    heads, left, open_ones = list[bytes](), list(behaviours), list[socket.socket]()

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                open_ones.append(connection)
                threading.Thread(target=treat, args=(connection, left.pop(0) if len(left) > 1 else left[0])).start()

    def treat(connection: socket.socket, behaviour: Behaviour) -> None:
        with connection, suppress(OSError):
            heads.append(connection.recv(65536))
            behaviour(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        try:
            yield listening.getsockname()[1], heads
        finally:
            for connection in (listening, *open_ones):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def sending(*parts: bytes) -> Behaviour:
    """Answers with this, and ends the connection."""
    return lambda connection: connection.sendall(b"".join(parts))


def stalling(*parts: bytes) -> Behaviour:
    """Answers with this, and sends nothing any more."""

    def behaviour(connection: socket.socket) -> None:
        connection.sendall(b"".join(parts))
        connection.recv(1)

    return behaviour


def trickling(head: bytes, each: bytes) -> Behaviour:
    """Sends without end, a little at a time."""

    def behaviour(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(each)
            time.sleep(0.01)

    return behaviour


def head(status: str = "206 Partial Content", size: int = 4) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode()


def origin_of(*ports: int, clock: Callable[[], float] = time.monotonic) -> PeersOrigin:
    return PeersOrigin(KEY, "a" * 40, [peers._Peer("127.0.0.1", port) for port in ports], clock)


def received(origin: PeersOrigin, size: int = 4) -> bytes:
    return b"".join(origin.stream("weights.bin", 0, size - 1))


def test_what_a_peer_sends_arrives_in_pieces() -> None:
    chunked = b"HTTP/1.1 206 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n"
    with peer(sending(head(), b"abcd")) as (one, heads), peer(sending(chunked)) as (other, _):
        assert received(origin_of(one)) == b"abcd"
        assert received(origin_of(other)) == b"abcd"
    method, *lines = heads[0].decode().split("\r\n")
    assert method == f"GET /{'a' * 40}/weights.bin HTTP/1.1"
    assert "Range: bytes=0-3" in lines


FAILURES = {
    "it is gone": lambda connection: connection.close(),
    "it ends amid its head": sending(head()[:20]),
    "it ends amid its body": sending(head(), b"ab"),
    "it has no such version": sending(head("404 Not Found", 0)),
    "it does not know the key": sending(head("403 Forbidden", 0)),
    "it speaks something else": sending(b"SSH-2.0-x\r\n"),
    "it changes the protocol": sending(b"HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    "it ignores the range": sending(head("200 OK", 5), b"abcde"),
    "it sends too much": sending(head("206 x", 5), b"abcde"),
    "it says nothing": stalling(),
    "it stalls amid its head": stalling(head()[:20]),
    "it stalls amid its body": stalling(head(), b"ab"),
    "its head has no end": trickling(b"HTTP/1.1 206 x\r\nX: ", b"x"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_peer_that_fails_once_is_asked_for_nothing_more(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peers, "_READ_SECONDS", 0.2)
    with peer(FAILURES[name], sending(head(), b"abcd")) as (port, heads):
        origin = origin_of(port)
        with pytest.raises(Unreachable, match=r"^the peer 127\.0\.0\.1: ."):
            received(origin)
        with pytest.raises(CatalogError, match="no peer is left"):
            received(origin)
        until(lambda: len(heads) == 1)
    assert [record.message for record in caplog.records] == ["a peer is left out of a download"]


def test_the_other_peers_are_asked_for_what_one_does_not_send() -> None:
    with peer(sending()) as (bad, bad_heads), peer(sending(head(), b"abcd")) as (good, heads):
        origin = origin_of(bad, good)
        for _ in range(20):
            with suppress(Unreachable):
                received(origin)
        assert (len(bad_heads), len(heads)) == (1, 19)
        assert received(origin) == b"abcd"


def test_a_peer_that_sends_enough_to_others_is_asked_again() -> None:
    with peer(sending(head("503 Service Unavailable", 0)), sending(head(), b"abcd")) as (port, _):
        origin = origin_of(port)
        with pytest.raises(CatalogError, match="answers 503"):
            received(origin)
        assert received(origin) == b"abcd"


def test_all_parts_that_a_slow_peer_sends_end_when_one_has_found_that_out() -> None:
    now, seconds_per_look = [0.0], [0.0]

    def clock() -> float:
        now[0] += seconds_per_look[0]
        return now[0]

    slow = trickling(head(size=100), b"a")
    with peer(slow) as (port, _):
        origin = origin_of(port, clock=clock)
        first, second = (origin.stream("weights.bin", 0, 99) for _ in range(2))
        assert not (next(first) + next(second)).strip(b"a")
        seconds_per_look[0] = 60
        with pytest.raises(Unreachable, match="too slowly"):
            list(first)
        seconds_per_look[0] = 0
        with pytest.raises(Unreachable, match="too slowly"):
            list(second)


def test_a_disk_that_is_slow_is_not_the_fault_of_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(peers, "_CHUNK", len(head()) + 1)
    with peer(sending(head(), b"abcd")) as (port, _):
        arriving = origin_of(port, clock=lambda: now[0]).stream("weights.bin", 0, 3)
        assert next(arriving) == b"a"
        now[0] += 60  # in which the first byte is written
        assert b"".join(arriving) == b"bcd"


def settings_of(port: int, key_file: Path, service: str = "127.0.0.1") -> PeerSettings:
    return PeerSettings(service=service, port=port, key_file=str(key_file))


@pytest.mark.parametrize("behaviour", [stalling(), trickling(b"HTTP/1.1 200 x\r\nX: ", b"x")])
def test_who_does_not_say_in_time_that_it_has_a_version_is_no_peer(
    behaviour: Behaviour, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_ASK_SECONDS", 0.2)
    with peer(behaviour) as (port, heads):
        assert find_peers(settings_of(port, key_file), "a" * 40) is None
        assert heads


def test_time_runs_out_also_while_a_peer_always_sends_more() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 x\r\nX: x")
        with pytest.raises(TimeoutError):
            peers._Response(ours).read(0)


def test_a_resolver_that_does_not_answer_is_not_waited_for(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def never(*_: object, **__: object) -> list[Any]:
        answered.wait(60)
        return []

    monkeypatch.setattr(peers, "_RESOLVE_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    assert find_peers(settings_of(1, key_file), "a" * 40) is None
    answered.set()


def test_a_name_that_has_no_addresses_means_no_peers(key_file: Path) -> None:
    assert find_peers(settings_of(1, key_file, "peers.invalid"), "a" * 40) is None


def test_without_a_key_no_peer_is_asked(tmp_path: Path) -> None:
    with peer(sending(head("200 OK", 0))) as (port, heads):
        assert find_peers(settings_of(port, tmp_path / "missing"), "a" * 40) is None
        assert not heads
