"""A relay in front of a server that breaks connections after so many bytes of a request, in the middle of its body."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 64 * 1024


class CuttingRelay:
    """Listens on a free port of loopback while its context lasts."""

    def __init__(self, address: str, after: int, times: int) -> None:
        """Break a connection to `address`, a host and a port, after `after` bytes from the client, so many times."""
        self._target = urlsplit(f"//{address}")
        self._after, self.left = after, times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.received = 0
        """The number of bytes from all clients."""
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._target.hostname, self._target.port)) as server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            passed = 0
            with suppress(OSError):
                while data := client.recv(_CHUNK):
                    passed += len(data)
                    with self._lock:
                        self.received += len(data)
                        if self.left and passed > self._after:
                            self.left -= 1
                            server.sendall(data)
                            client.shutdown(socket.SHUT_RDWR)
                            break
                    server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
