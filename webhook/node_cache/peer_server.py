"""Gives parts of the versions that the node has to other nodes, over HTTP.

    HEAD /KEY              200 if the version is there
    GET /KEY/PATH          a range of one of its files, which the header Range names: `bytes=0-99`

Every request is signed. Its connection is closed after the answer.
"""

import asyncio
import contextlib
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from stat import S_ISREG
from typing import Final
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from webhook.errors import InvalidInput
from webhook.http.log import FIELDS
from webhook.http.serving import listen
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.peer_signatures import HEADER, is_signed, read_key
from webhook.node_cache.processes import end, fork
from webhook.strategies.node_cache import PeerSettings

_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
_TARGET: Final = re.compile(r"/([0-9a-f]{40})(?:/(.+))?")
_CONNECTIONS: Final = 256
"""More wait to be accepted."""
_BODIES: Final = 16
"""How many parts are sent at once: others are asked for elsewhere."""
_LARGEST_HEAD: Final = 16 << 10
_HEAD_SECONDS: Final = 2.0
"""How long a request may take to arrive, so that connections without a signature soon end."""
_SEND_SECONDS: Final = 60.0
_RESTART_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class PeerServer:
    """The server's process, which has none of the driver's rights."""

    def __init__(self, options: PeerSettings, folder: Path, user: int | None) -> None:
        self._options, self._folder, self._user = options, folder, user

    async def run(self) -> None:
        """Have the process, until cancelled. It ends with this one."""
        while True:
            pid, connection = fork(self._user, self._serve)
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                await reader.read(1)  # until it ends: it has nothing to say
            finally:
                writer.close()
            await end(pid)
            _log.error("the server for peers has ended", extra={FIELDS: {"pid": pid}})
            await asyncio.sleep(_RESTART_SECONDS)

    def _serve(self, connection: socket.socket) -> None:
        """In its process: serve until the driver ends."""
        with listen(self._options.address, self._options.port) as listening:
            asyncio.run(_serve(FileServer(self._options.key_file, CacheFolder(self._folder)), listening, connection))


async def _serve(server: "FileServer", listening: socket.socket, connection: socket.socket) -> None:
    connection.setblocking(False)
    serving = asyncio.create_task(server.serve(listening))
    ended = asyncio.create_task(asyncio.get_running_loop().sock_recv(connection, 1))
    await asyncio.wait((serving, ended), return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        os._exit(0)
    serving.result()


class _Head:
    """The head of a request, which a parser gives to it."""

    def __init__(self) -> None:
        self.target, self.headers, self.is_complete = "", dict[str, str](), False
        self.method = ""

    def on_url(self, url: bytes) -> None:
        self.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.is_complete = True


class FileServer:
    """Answers requests for files of complete versions. Used in one event loop."""

    def __init__(self, key_file: str, folder: CacheFolder) -> None:
        self._key_file, self._folder = key_file, folder
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._bodies = 0
        """How many parts are being sent."""
        self._problem = ""
        """What is wrong with the key, if that was logged."""

    async def serve(self, listening: socket.socket) -> None:
        """Accept connections, until cancelled."""
        listening.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._free.acquire()
                connection = await _accepted(listening)
                tasks.create_task(self._connected(connection)).add_done_callback(lambda _: self._free.release())

    async def _connected(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with connection, contextlib.suppress(OSError, HttpParserError, HttpParserUpgrade):  # also TimeoutError
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await _head_of(connection)
            async with asyncio.timeout(_SEND_SECONDS):
                await self._answer(connection, head)

    async def _answer(self, connection: socket.socket, head: _Head) -> None:
        header, span = head.headers.get(HEADER.lower(), ""), head.headers.get("range", "")
        key = self._key()
        if key is None:
            return await _respond(connection, HTTPStatus.SERVICE_UNAVAILABLE)
        if not is_signed(key, header, head.method, head.target, span, time.time()):
            return await _respond(connection, HTTPStatus.FORBIDDEN)
        target, bounds = _TARGET.fullmatch(head.target), _RANGE.fullmatch(span)
        if target and head.method == "HEAD" and not target[2]:
            has_version = self._folder.find(target[1]) is not None
            return await _respond(connection, HTTPStatus.OK if has_version else HTTPStatus.NOT_FOUND)
        if target and head.method == "GET" and target[2] and bounds:
            return await self._send(connection, target[1], unquote(target[2]), int(bounds[1]), int(bounds[2]))
        return await _respond(connection, HTTPStatus.BAD_REQUEST)

    def _key(self) -> bytes | None:
        """The key as it is now, because it may be replaced. None if it cannot be read."""
        problem, key = "", None
        try:
            key = read_key(self._key_file)
        except InvalidInput as error:
            problem = str(error)
            if problem != self._problem:
                _log.error("peers are not served", extra={FIELDS: {"problem": problem}})
        self._problem = problem
        return key

    async def _send(self, connection: socket.socket, key: str, path: str, first: int, last: int) -> None:
        """Send a range of a file."""
        if self._bodies >= _BODIES:
            return await _respond(connection, HTTPStatus.SERVICE_UNAVAILABLE)
        self._bodies += 1
        try:
            with ExitStack() as stack:
                try:
                    file = stack.enter_context(opened(self._folder, key, path))
                except OSError:
                    return await _respond(connection, HTTPStatus.NOT_FOUND)
                if first > last or last >= os.fstat(file).st_size:
                    return await _respond(connection, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                size = last - first + 1
                os.posix_fadvise(file, first, size, os.POSIX_FADV_WILLNEED)  # sendfile waits for what is not read yet
                await _respond(connection, HTTPStatus.PARTIAL_CONTENT, size)
                body = stack.enter_context(os.fdopen(os.dup(file), "rb"))
                await asyncio.get_running_loop().sock_sendfile(connection, body, first, size)
        finally:
            self._bodies -= 1


async def _accepted(listening: socket.socket) -> socket.socket:
    """The next connection."""
    while True:
        try:
            return (await asyncio.get_running_loop().sock_accept(listening))[0]
        except OSError as error:  # such as a client that went, and too many open files
            _log.warning("connection not accepted", extra={FIELDS: {"problem": str(error)}})
            await asyncio.sleep(_HEAD_SECONDS)


async def _head_of(connection: socket.socket) -> _Head:
    """Raises OSError if the connection ends or the head is too large, HttpParserError and HttpParserUpgrade."""
    head, size = _Head(), 0
    parser = HttpRequestParser(head)
    while not head.is_complete:
        received = await asyncio.get_running_loop().sock_recv(connection, _LARGEST_HEAD - size)
        if not received:
            raise ConnectionError("no request")
        size += len(received)
        parser.feed_data(received)
    head.method = parser.get_method().decode("latin-1")
    return head


async def _respond(connection: socket.socket, status: HTTPStatus, size: int = 0) -> None:
    """Send the head of a response."""
    text = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(connection, text.encode())


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
