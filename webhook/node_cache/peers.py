"""Peers: nodes that have a version already give parts of it to others, over HTTP.

A request is signed with a key that all peers share. The key is never sent, and a signature holds for one path and
range, for a minute. What comes from a peer is compared with the hashes of the manifest, which is read from S3 with the
role of the pod, so a peer can neither change a file nor give one to a pod that may not read it.
"""

import asyncio
import hashlib
import hmac
import logging
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from stat import S_ISREG
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from webhook.catalog.bucket.store import CatalogError, Unreachable
from webhook.errors import InvalidInput
from webhook.http.log import FIELDS
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.processes import fork
from webhook.strategies.node_cache import PeerSettings

_HEADER: Final = "X-Model-Injector-Peer"
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
_TARGET: Final = re.compile(r"/([0-9a-f]{40})(?:/(.+))?")
_SKEW_SECONDS: Final = 60
_SHORTEST_KEY: Final = 32
_CONNECTIONS: Final = 16
_MOST_ASKED: Final = 5
_ASK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 10.0
_CHUNK: Final = 1 << 20
_RESTART_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


def read_key(file: str) -> bytes:
    """The shared key. Raises InvalidInput."""
    try:
        key = Path(file).read_bytes().strip()
    except OSError as error:
        raise InvalidInput(f"the key of the peers, {file}, cannot be read: {error.strerror}") from error
    if len(key) < _SHORTEST_KEY:
        raise InvalidInput(f"the key of the peers, {file}, has less than {_SHORTEST_KEY} bytes")
    return key


def sign(key: bytes, method: str, target: str, span: str, now: float) -> str:
    """The header of a request for a path and range."""
    at = str(int(now))
    return f"{at} {_digest(key, method, target, span, at)}"


def is_signed(key: bytes, header: str, method: str, target: str, span: str, now: float) -> bool:  # noqa: PLR0913, PLR0917
    """Whether a header is that of this request, and not old."""
    at, _, given = header.partition(" ")
    if not at.isascii() or not at.isdigit() or len(at) > 12 or abs(now - int(at)) > _SKEW_SECONDS:
        return False
    return hmac.compare_digest(given.encode(), _digest(key, method, target, span, at).encode())


def _digest(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()


class PeerServer:
    """Gives parts of what the cache has. Its process has threads, and none of the driver's rights."""

    def __init__(self, options: PeerSettings, folder: Path, user: int | None) -> None:
        self._options, self._folder, self._user = options, folder, user

    async def run(self) -> None:
        """Have the process, until cancelled. It ends with this one."""
        while True:
            pid, connection = fork(self._user, self._serve)
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                await reader.read()  # until it ends
            finally:
                writer.close()
                if reader.at_eof():
                    os.waitpid(pid, 0)
            _log.error("the server for peers has ended", extra={FIELDS: {"pid": pid}})
            await asyncio.sleep(_RESTART_SECONDS)

    def _serve(self, connection: socket.socket) -> None:
        """In its process: serve until the driver ends."""
        server = _Server(self._options, CacheFolder(self._folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection.recv(1)
        os._exit(0)


class _Server(ThreadingHTTPServer):
    """A server with a limited number of connections. More wait to be accepted."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, options: PeerSettings, folder: CacheFolder) -> None:
        self.key, self.folder = read_key(options.key_file), folder
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__((options.address, options.port), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        self._free.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is nothing to log."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _READ_SECONDS
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        pass

    def do_HEAD(self) -> None:
        """Whether a version is there."""
        target = self._checked()
        if target and target[1] is None:
            self._end(HTTPStatus.OK if self.server.folder.find(target[0]) else HTTPStatus.NOT_FOUND)

    def do_GET(self) -> None:
        """A range of a file."""
        target = self._checked()
        if target is None:
            return
        (key, path), span = target, _RANGE.fullmatch(self.headers.get("Range", ""))
        if path is None or span is None:
            self._end(HTTPStatus.BAD_REQUEST)
            return
        first, last = int(span[1]), int(span[2])
        try:
            with opened(self.server.folder, key, path) as file:
                if first > last or last >= os.fstat(file).st_size:
                    self._end(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                    return
                self._end(HTTPStatus.PARTIAL_CONTENT, last - first + 1)
                with os.fdopen(os.dup(file), "rb") as body:
                    self.connection.sendfile(body, first, last - first + 1)
        except FileNotFoundError:
            self._end(HTTPStatus.NOT_FOUND)
        except OSError:
            self.close_connection = True

    def _checked(self) -> tuple[str, str | None] | None:
        """The key of a version, and the path of a file. None if the request was answered with an error."""
        header, span = self.headers.get(_HEADER, ""), self.headers.get("Range", "")
        if not is_signed(self.server.key, header, self.command, self.path, span, time.time()):
            self._end(HTTPStatus.FORBIDDEN)
            return None
        found = _TARGET.fullmatch(self.path)
        if found is None:
            self._end(HTTPStatus.BAD_REQUEST)
            return None
        return found[1], None if found[2] is None else unquote(found[2])

    def _end(self, status: HTTPStatus, size: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()


@contextmanager
def opened(folder: CacheFolder, key: str, path: str) -> Iterator[int]:
    """A file of a complete version, open. Raises OSError, also for a path that leads out of the version."""
    parts = path.split("/")
    if folder.find(key) is None or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise FileNotFoundError(path)
    with ExitStack() as stack:
        parent = stack.enter_context(folder.opened(key))
        for part in parts[:-1]:
            parent = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            stack.callback(os.close, parent)
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        stack.callback(os.close, file)
        if not S_ISREG(os.fstat(file).st_mode):
            raise FileNotFoundError(path)
        yield file


class _Peer(NamedTuple):
    address: str
    port: int


class PeersOrigin:
    """Peers that have a version. Each part is asked of one of them, chosen at random."""

    def __init__(self, key: bytes, version: str, peers: Sequence[_Peer]) -> None:
        self._key, self._version, self._peers = key, version, peers
        self.bytes = 0
        """What has come from them."""

    def stream(self, path: str, first: int, last: int) -> Iterator[bytes]:
        """The bytes of a file from `first` to `last`. Raises CatalogError."""
        import urllib3  # noqa: PLC0415

        peer, target, span = random.choice(self._peers), f"/{self._version}/{quote(path)}", f"bytes={first}-{last}"  # noqa: S311
        headers = {"Range": span, _HEADER: sign(self._key, "GET", target, span, time.time())}
        timeout = urllib3.Timeout(connect=_ASK_SECONDS, read=_READ_SECONDS)
        try:
            with urllib3.HTTPConnectionPool(peer.address, peer.port, timeout=timeout, retries=False) as pool:
                response = pool.request("GET", target, headers=headers, preload_content=False)
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    raise CatalogError(f"the peer {peer.address} answers {response.status}")
                for chunk in response.stream(_CHUNK):
                    self.bytes += len(chunk)
                    yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"the peer {peer.address}: {type(error).__name__}") from error


def find_peers(options: PeerSettings, version: str) -> PeersOrigin | None:
    """The peers that have a version, of some that are chosen at random. None if there are none."""
    key = read_key(options.key_file)
    try:
        found = socket.getaddrinfo(options.service, options.port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    own = os.environ.get("POD_IP", "")
    known = sorted({_Peer(str(place[0]), options.port) for *_, place in found if place[0] != own})
    asked = random.sample(known, min(len(known), _MOST_ASKED))
    with ThreadPoolExecutor(_MOST_ASKED) as threads:
        answers = list(threads.map(lambda peer: _has(key, peer, version), asked))
    peers = [peer for peer, has in zip(asked, answers, strict=True) if has]
    return PeersOrigin(key, version, peers) if peers else None


def _has(key: bytes, peer: _Peer, version: str) -> bool:
    import urllib3  # noqa: PLC0415

    headers = {_HEADER: sign(key, "HEAD", f"/{version}", "", time.time())}
    try:
        with urllib3.HTTPConnectionPool(peer.address, peer.port, timeout=_ASK_SECONDS, retries=False) as pool:
            return bool(pool.request("HEAD", f"/{version}", headers=headers).status == HTTPStatus.OK)
    except urllib3.exceptions.HTTPError:
        return False
