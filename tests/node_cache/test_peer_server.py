"""What a node gives to other nodes, and to nobody else."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import clock
from tests.support.polling import until
from webhook.catalog.bucket.errors import CatalogError
from webhook.errors import InvalidInput
from webhook.http.serving import listen
from webhook.node_cache import peer_server
from webhook.node_cache.entry import Marker
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.peer_server import FileServer, opened
from webhook.node_cache.peer_signatures import HEADER, is_signed, read_key, sign
from webhook.node_cache.peers import find_peers
from webhook.strategies.node_cache import PeerSettings

KEY = b"k" * 32
VERSION = "a" * 40
LARGE = bytes(range(256)) * (1 << 14)
MARKER = Marker("default", "my-model", "1.0.0", "s3://b/my-model-1.0.0", "0" * 64, 1, 1, 1.0, "sha256", "")


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
    files = folder.partial(VERSION) / "files"
    (files / "sub").mkdir()
    (files / "sub" / "file").write_bytes(b"x")
    (files / "large").write_bytes(LARGE)
    (files / "link").symlink_to("/etc/passwd")
    (files / "folder").symlink_to("/etc")
    os.mkfifo(files / "pipe")
    folder.finish(VERSION, MARKER)
    (folder.root / "secret").write_bytes(b"s")
    return folder


def test_a_peer_opens_the_files_of_a_version(cached: CacheFolder) -> None:
    with opened(cached, VERSION, "sub/file") as file:
        assert os.read(file, 9) == b"x"


@pytest.mark.parametrize(
    "path", ["link", "folder/passwd", "pipe", "sub", "../marker.json", "/etc/passwd", "sub/../../../secret", "", "a\0b"]
)
def test_a_peer_opens_nothing_else(cached: CacheFolder, path: str) -> None:
    with pytest.raises(OSError, match=r".*"), opened(cached, VERSION, path):
        pass
    with pytest.raises(FileNotFoundError), opened(cached, "b" * 40, "sub/file"):
        pass


@given(st.text(alphabet="./ab\0é%"))
def test_no_path_leads_out_of_a_version(cached: CacheFolder, path: str) -> None:
    try:
        with opened(cached, VERSION, path) as file:
            assert os.path.realpath(f"/proc/self/fd/{file}").startswith(str(cached.root / "versions"))
    except (OSError, ValueError):
        return


@contextmanager
def serving(
    folder: CacheFolder, address: str, key_file: Path, loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[PeerSettings]:
    """The server in this process. Yields the settings of a node that asks it."""
    loop, started, tasks = loop or asyncio.new_event_loop(), threading.Event(), list[asyncio.Task[None]]()

    def run(listening: socket.socket) -> None:
        tasks.append(loop.create_task(FileServer(str(key_file), folder).serve(listening)))
        started.set()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(tasks[0])
        loop.close()

    with listen(address, 0) as listening:
        thread = threading.Thread(target=run, args=(listening,))
        thread.start()
        started.wait()
        try:
            yield PeerSettings(service=address, port=listening.getsockname()[1], key_file=str(key_file))
        finally:
            loop.call_soon_threadsafe(tasks[0].cancel)
            thread.join()


@pytest.fixture
def served(cached: CacheFolder, key_file: Path) -> Iterator[PeerSettings]:
    with serving(cached, "127.0.0.1", key_file) as options:
        yield options


def ask(options: PeerSettings, target: str, span: str = "", method: str = "GET", *, key: bytes = KEY) -> httpx.Response:
    """Send a signed request."""
    headers = {HEADER: sign(key, method, target, span, time.time())} | ({"Range": span} if span else {})
    return httpx.request(method, f"http://127.0.0.1:{options.port}{target}", headers=headers, trust_env=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_peers_have_addresses_of_both_families(address: str, cached: CacheFolder, key_file: Path) -> None:
    with serving(cached, address, key_file) as options:
        found = find_peers(options, VERSION)
        assert found
        assert b"".join(found.stream("sub/file", 0, 0)) == b"x"
        assert b"".join(found.stream("large", 1, len(LARGE) - 2)) == LARGE[1:-1]
        assert find_peers(options, "b" * 40) is None


def test_a_node_does_not_ask_itself(cached: CacheFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_IP", "0:0:0:0:0:0:0:1")
    with serving(cached, "::1", key_file) as options:
        assert find_peers(options, VERSION) is None


FILE = f"/{VERSION}/sub/file"


@pytest.mark.parametrize(
    ("target", "span", "method", "status"),
    [
        (FILE, "bytes=0-0", "GET", 206),
        (f"/{VERSION}/sub%2Ffile", "bytes=0-0", "GET", 206),
        (f"/{VERSION}", "", "HEAD", 200),
        (f"/{'b' * 40}", "", "HEAD", 404),
        (f"/{'b' * 40}/sub/file", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/other", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/link", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/folder/passwd", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/%2E%2E/marker.json", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/sub%2F..%2F..%2Fmarker.json", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/%2Fetc%2Fpasswd", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/%00", "bytes=0-0", "GET", 404),
        (f"/{VERSION}/%FF", "bytes=0-0", "GET", 404),
        (FILE, "bytes=0-1", "GET", 416),
        (FILE, "bytes=1-0", "GET", 416),
        (FILE, f"bytes=0-{'9' * 18}", "GET", 416),
        (FILE, "", "GET", 400),
        (FILE, "bytes=0-", "GET", 400),
        (FILE, "bytes=0-0,0-0", "GET", 400),
        (FILE, "", "HEAD", 400),
        (f"/{VERSION}", "bytes=0-0", "GET", 400),
        (f"/{VERSION}/", "bytes=0-0", "GET", 400),
        (FILE, "bytes=0-0", "POST", 400),
        ("/", "", "GET", 400),
        ("/metrics", "", "GET", 400),
    ],
)
def test_only_ranges_of_files_are_given(target: str, span: str, method: str, status: int, served: PeerSettings) -> None:
    assert ask(served, target, span, method).status_code == status
    assert ask(served, target, span, method, key=b"o" * 32).status_code == 403


def test_requests_without_a_signature_or_with_an_old_one_are_forbidden(served: PeerSettings) -> None:
    url = f"http://127.0.0.1:{served.port}{FILE}"
    old = sign(KEY, "GET", FILE, "bytes=0-0", time.time() - 61)
    for header in ({}, {HEADER: ""}, {HEADER: "1 x"}, {HEADER: old}):
        assert httpx.get(url, headers={"Range": "bytes=0-0", **header}, trust_env=False).status_code == 403


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"no request\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * (17 << 10),
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\xff: \xff\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_and_disturbs_no_other(
    sent: bytes, served: PeerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_server, "_HEAD_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
        connection.sendall(sent)
        with suppress(ConnectionError):
            answer = connection.makefile("rb").read()
            assert not answer or answer.startswith(b"HTTP/1.1 403 ")
    monkeypatch.undo()
    assert ask(served, FILE, "bytes=0-0").content == b"x"


def test_connections_without_a_request_do_not_keep_others_out(
    cached: CacheFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_server, "_HEAD_SECONDS", 0.2)
    monkeypatch.setattr(peer_server, "_CONNECTIONS", 8)
    with serving(cached, "127.0.0.1", key_file) as options, ExitStack() as idle:
        for number in range(20):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", options.port)))
            connection.sendall(b"GET / HTTP/1.1\r\n" if number % 2 else b"")
        until(lambda: find_peers(options, VERSION) is not None)


def test_a_client_that_reads_nothing_does_not_keep_a_body_for_ever(
    cached: CacheFolder, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_server, "_BODIES", 1)
    span, target = f"bytes=0-{len(LARGE) - 1}", f"/{VERSION}/large"
    request = f"GET {target} HTTP/1.1\r\nRange: {span}\r\n{HEADER}: {sign(KEY, 'GET', target, span, time.time())}"
    loop = clock.Loop()
    with serving(cached, "127.0.0.1", key_file, loop) as options, socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", options.port))
        lazy.sendall(f"{request}\r\n\r\n".encode())
        assert lazy.recv(12) == b"HTTP/1.1 206"
        found = find_peers(options, VERSION)
        assert found
        with pytest.raises(CatalogError, match="answers 503"):
            next(found.stream("sub/file", 0, 0))
        loop.call_soon_threadsafe(setattr, loop, "ahead", peer_server._SEND_SECONDS)
        until(lambda: ask(options, FILE, "bytes=0-0").status_code == 206)


def test_a_key_that_was_replaced_counts_at_once(served: PeerSettings, key_file: Path) -> None:
    assert find_peers(served, VERSION)
    key_file.write_bytes(b"n" * 32)
    assert find_peers(served, VERSION)
    assert ask(served, f"/{VERSION}", method="HEAD").status_code == 403


def test_without_a_key_nothing_is_given_until_there_is_one(
    served: PeerSettings, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in (None, b"short"):
        key_file.unlink()
        if content:
            key_file.write_bytes(content)
        for _ in range(3):
            assert ask(served, f"/{VERSION}", method="HEAD").status_code == 503
        key_file.touch()
    assert len([record for record in caplog.records if record.message == "peers are not served"]) == 2
    key_file.write_bytes(KEY)
    assert ask(served, f"/{VERSION}", method="HEAD").status_code == 200
