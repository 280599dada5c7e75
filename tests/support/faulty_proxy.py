"""An HTTP proxy in front of an S3 server that remembers what it is asked, and makes faults on demand.

It leaves requests as they are, Host header included, so that the server behind it can check their signatures. It can
be an endpoint (a reverse proxy) and a client's HTTP_PROXY or HTTPS_PROXY: then it reaches the server by any name.
"""

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.faults import Answer, Cut, Drop, Edit, Fault, Ignore, Request, Stall, Trickle

_CHUNK = 64 * 1024
_PATIENCE = 60
_HOP_BY_HOP = ("Content-Length", "Transfer-Encoding", "Connection")


class FaultyProxy(ThreadingHTTPServer):
    """Listens on a free port of loopback while its context lasts."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, server_url: str, others: Mapping[str, str] | None = None) -> None:
        """`others` are the URLs of servers that CONNECT reaches instead, by the names that it asks for."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server_url, self.others = server_url, others or {}
        self.requests: list[Request] = []
        self.tunnels: list[str] = []
        """What CONNECT asked for, as host:port."""
        self.refusal = 0
        """The status that CONNECT is answered with, instead of a tunnel."""
        self.closing = threading.Event()
        self._faults: list[tuple[Callable[[Request], bool], Fault, int | None]] = []
        self._changed = threading.Condition()
        self.connections = 0
        """How many are open, idle ones too."""

    @property
    def url(self) -> str:
        """The endpoint, or the proxy's address."""
        return f"http://127.0.0.1:{self.server_port}"

    def inject(self, fault: Fault, when: Callable[[Request], bool], times: int | None = None) -> None:
        """Answer requests like that with a fault: so many of them, or all. The first fault that fits is taken."""
        with self._changed:
            self._faults.append((when, fault, times))

    def heal(self) -> None:
        """No faults any more."""
        with self._changed:
            self._faults.clear()

    def count(self, what: Callable[[Request], bool]) -> int:
        """How many such requests it has had."""
        with self._changed:
            return sum(what(request) for request in self.requests)

    def wait_for(self, what: Callable[[Request], bool], times: int = 1) -> None:
        """Until it has had so many such requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: sum(map(what, self.requests)) >= times, _PATIENCE), self.requests

    def wait_for_end_of_connections(self, left: int) -> None:
        """Until all but `left` have ended, and what they had sent is recorded: those of a client that was killed."""
        with closing(HTTPConnection("127.0.0.1", self.server_port, timeout=_PATIENCE)) as connection:
            connection.request("TRACE", "/")  # which is not recorded; it is accepted after all earlier connections
            connection.getresponse().read()
        with self._changed:
            assert self._changed.wait_for(lambda: self.connections <= left, _PATIENCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection, and serve it in a thread."""
        self._count_connection(1)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count_connection(-1)

    def _count_connection(self, change: int) -> None:
        with self._changed:
            self.connections += change
            self._changed.notify_all()

    def record(self, request: Request) -> Fault | None:
        """Add a request to `requests`; returns the fault that it meets."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            for place, (when, fault, times) in enumerate(self._faults):
                if when(request):
                    if times is not None:
                        self._faults[place : place + 1] = [(when, fault, times - 1)] if times > 1 else []
                    return fault
        return None

    def connect(self, name: str = "") -> socket.socket:
        """A connection to the server of this name in `others`, or to the server behind the proxy."""
        server = urlsplit(self.others.get(name, self.server_url))
        connected = socket.create_connection((server.hostname, server.port), timeout=_PATIENCE)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed in the middle are no errors here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # typeshed's private names

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait for the client to acknowledge its head: 40 ms
    server: FaultyProxy

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        target = parts._replace(scheme="", netloc="").geturl() if parts.scheme else self.path
        request = Request(self.command, target, self.headers)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.server.record(request):
            case Drop():
                self.close_connection = True
            case Answer() as answer:
                self._send(answer)
            case Ignore(header):
                del request.headers[header]
                self._pass_on(request, body, None)
            case fault:
                self._pass_on(request, body, fault)

    do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = do_GET  # noqa: N815 - the base class' own names

    def do_CONNECT(self) -> None:
        self.server.tunnels.append(self.path)
        self.close_connection = True
        if self.server.refusal:
            self.send_error(self.server.refusal)
            return
        with self.server.connect(self.path.rpartition(":")[0]) as behind:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            upwards = threading.Thread(target=_pour, args=(self.connection, behind), daemon=True)
            upwards.start()
            _pour(behind, self.connection)
            upwards.join()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own name
        pass

    def _pass_on(self, request: Request, body: bytes, fault: Edit | Cut | Stall | Trickle | None) -> None:
        """Ask the server, and answer what it answers, up to the fault."""
        with closing(HTTPConnection("behind")) as connection:
            connection.sock = self.server.connect()
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() != "expect":  # which this proxy has answered itself
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            headers = tuple((name, value) for name, value in response.getheaders() if name not in _HOP_BY_HOP)
            if self.command == "HEAD":
                self._start(response.status, headers, int(response.headers.get("Content-Length", 0)))
                return
            if isinstance(fault, Edit) or response.length is None:
                answer = Answer(response.status, response.read(), headers)
                self._send(fault.change(answer) if isinstance(fault, Edit) else answer)
                return
            self._start(response.status, headers, response.length)
            left = min(fault.after, response.length) if isinstance(fault, Cut | Stall) else response.length
            size = 1 if isinstance(fault, Trickle) else _CHUNK
            while left > 0 and (chunk := response.read(min(left, size))):
                self.wfile.write(chunk)
                left -= len(chunk)
                if isinstance(fault, Trickle):
                    self.server.closing.wait(fault.seconds)
        if fault is not None:
            self.close_connection = True
        if isinstance(fault, Stall):
            self.server.closing.wait()

    def _send(self, answer: Answer) -> None:
        self._start(answer.status, answer.headers, len(answer.body))
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _start(self, status: int, headers: tuple[tuple[str, str], ...], length: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def _pour(source: socket.socket, target: socket.socket) -> None:
    """Everything that comes from the one goes to the other, then its end too."""
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
