"""Gives parts of the versions that the node has to other nodes, over HTTP."""

import asyncio
import io
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final
from urllib.parse import unquote

from webhook.errors import InjectorError
from webhook.http.log import FIELDS
from webhook.http.serving import listen
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.peer_signatures import HEADER, is_signed, read_key
from webhook.node_cache.processes import fork
from webhook.strategies.node_cache import PeerSettings

_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
_TARGET: Final = re.compile(r"/([0-9a-f]{40})(?:/(.+))?")
_CONNECTIONS: Final = 64
_BODIES: Final = 16
"""How many parts are sent at once: others are asked for elsewhere."""
_HEADER_SECONDS: Final = 2.0
"""How long a request without its body may take to arrive, so that connections without a signature soon end."""
_WRITE_SECONDS: Final = 10.0
_RESTART_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class PeerServer:
    """The server's process, which has threads, and none of the driver's rights."""

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

    def __init__(self, options: PeerSettings, folder: CacheFolder) -> None:
        self.key_file, self.folder = options.key_file, folder
        self.bodies = threading.BoundedSemaphore(_BODIES)
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        read_key(self.key_file)
        listening = listen(options.address, options.port)
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes is nothing to log."""


class _UntilDeadline(io.RawIOBase):
    """What a socket receives until a time."""

    def __init__(self, received: socket.socket, seconds: float) -> None:
        super().__init__()
        self._socket, self._deadline = received, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
        return self._socket.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    """One request: its connection is closed afterwards."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_UntilDeadline(self.connection, _HEADER_SECONDS))

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
        elif not self.server.bodies.acquire(blocking=False):
            self._end(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            try:
                self._send(key, path, int(span[1]), int(span[2]))
            finally:
                self.server.bodies.release()

    def _send(self, key: str, path: str, first: int, last: int) -> None:
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
            return  # the connection is closed before the body's end

    def _checked(self) -> tuple[str, str | None] | None:
        """The key of a version, and the path of a file. None if the request was answered with an error."""
        self.close_connection = True
        self.connection.settimeout(_WRITE_SECONDS)
        header, span = self.headers.get(HEADER, ""), self.headers.get("Range", "")
        try:
            key = read_key(self.server.key_file)  # each time, because it may be replaced
        except InjectorError:
            self._end(HTTPStatus.SERVICE_UNAVAILABLE)
            return None
        if not is_signed(key, header, self.command, self.path, span, time.time()):
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
        self.send_header("Connection", "close")
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
