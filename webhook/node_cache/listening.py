"""The socket in kubelet's folder of registrations.

kubelet registers the driver when the socket appears, and drops it when the socket goes. A driver that ends late, after
its successor has started, must not take that one's socket away; and a socket that somebody deleted is created again.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grpclib.server import Server

from webhook.errors import InjectorError
from webhook.http.log import FIELDS

if TYPE_CHECKING:
    from grpclib._typing import IServable

_CHECK_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class Replaced(InjectorError):
    """Another driver listens on the socket."""


async def serve(path: Path, services: "Collection[IServable]", stopped: asyncio.Event) -> None:
    """Serve at a path until stopped. Raises Replaced, and OSError."""
    while not stopped.is_set():
        with _socket(path) as listening:
            inode = path.stat().st_ino
            server = Server(services)
            await server.start(sock=listening)
            _log.info("listening", extra={FIELDS: {"path": str(path)}})
            while not stopped.is_set() and _inode(path) == inode:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), _CHECK_SECONDS)
            found = _inode(path)
            if found == inode:
                path.unlink()
            server.close()
            await server.wait_closed()
        if found not in (inode, None):
            raise Replaced(f"another driver listens on {path}")


@contextlib.contextmanager
def _socket(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket that only this process's user can connect to. What another process left is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen()
        yield listening


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
