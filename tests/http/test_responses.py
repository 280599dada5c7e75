"""How responses are written: in one piece, where they have a head and a body."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.http.serving import connected
from tests.support.webhook import HOST, Webhook

_APPLICATION_DATA = 23
_REQUEST = b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


def records(data: bytes) -> Iterator[int]:
    """The types of the TLS records that are complete."""
    while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[3:5]):
        yield data[0]
        data = data[5 + int.from_bytes(data[3:5]) :]


class Client:
    """A TLS client that keeps what arrives encrypted."""

    def __init__(self, webhook: Webhook, plain: socket.socket) -> None:
        self._plain, self._incoming, self._outgoing = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = webhook.trust.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        self.received = b""
        self._until(self._tls.do_handshake)

    def ask(self) -> bytes:
        """The response to a request whose body is no review: 400 and a short explanation."""
        self._tls.write(_REQUEST)
        response = b""

        def read() -> None:
            nonlocal response
            while not response.endswith(b"}"):
                response += self._tls.read(65536)

        self._until(read)
        return response

    def _until(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._plain.sendall(self._outgoing.read())
                chunk = self._plain.recv(65536)
                assert chunk, "the server closed the connection"
                self.received += chunk
                self._incoming.write(chunk)
            else:
                return


def test_over_tls_a_response_is_one_record(webhook: Webhook) -> None:
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=30) as plain:
        client = Client(webhook, plain)
        client.ask()  # session tickets are records as well, and arrive before the first response
        client.received = b""
        assert client.ask().startswith(b"HTTP/1.1 400 ")
    assert list(records(client.received)) == [_APPLICATION_DATA]


def answered(app: ASGIApp, request: bytes) -> bytes:
    """What a server for the application sends until it closes the connection."""

    async def steps() -> bytes:
        async with connected(app) as client:
            client.writer.write(request)
            return await asyncio.wait_for(client.reader.read(), timeout=30)

    return asyncio.run(steps())


def app_of(*parts: bytes) -> ASGIApp:
    """An application that answers with these parts of a body."""

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("parts", [(), (b"one",), (b"one", b"two", b"three"), (b"", b"two")])
def test_a_body_of_any_parts_arrives_whole(parts: tuple[bytes, ...]) -> None:
    head, _, body = answered(app_of(*parts), b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


def test_a_response_to_head_is_a_head() -> None:
    assert answered(app_of(b"one"), b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_first_is_told_to_continue() -> None:
    async def steps() -> None:
        async with connected(app_of(b"one")) as client:
            client.writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            client.writer.write(b"{}")
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    asyncio.run(steps())


def test_an_application_that_fails_before_the_body_closes_the_connection() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    assert answered(app, b"GET / HTTP/1.1\r\n\r\n") == b""
