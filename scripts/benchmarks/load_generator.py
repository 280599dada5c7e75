"""A load generator that repeats some requests on TLS connections with keep-alive.

It encodes the requests once, and parses only the status and the length of a response, so that it adds little to the
measured times.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle


@dataclass(frozen=True)
class Figures:
    """The figures of one run."""

    p50_ms: float
    p99_ms: float
    requests_per_second: float


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], latencies: list[float], until: float) -> None:
        self._requests, self._latencies, self._until = requests, latencies, until
        self._answer = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # a TCP transport
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200 "):
            self.done.set_exception(RuntimeError(bytes(self._answer[:500])))
        elif now > self._until:
            self.done.set_result(None)
        else:
            self._latencies.append(now - self._sent)
            self._answer.clear()
            self._send()

    def _send(self) -> None:
        request = next(self._requests)
        self._sent = time.perf_counter()
        self._transport.write(request)


async def load(
    url: tuple[str, int, str], trust: ssl.SSLContext, bodies: Sequence[bytes], connections: int, seconds: float
) -> Figures:
    """POST the bodies in turn for that many seconds, with one request at a time on each connection.

    `url` is the host, the port and the path. Raises RuntimeError for a status other than 200.
    """
    host, port, path = url
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    requests = cycle([b"%b%d\r\n\r\n%b" % (head.encode(), len(body), body) for body in bodies])
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: _Connection(requests, latencies, started + seconds),
            "127.0.0.1",
            port,
            ssl=trust,
            server_hostname=host,
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    elapsed = time.perf_counter() - started
    latencies.sort()
    return Figures(
        p50_ms=round(latencies[len(latencies) // 2] * 1000, 4),
        p99_ms=round(latencies[len(latencies) * 99 // 100] * 1000, 4),
        requests_per_second=round(len(latencies) / elapsed, 1),
    )
