"""Clients that are slow, or never come to an end."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.chart.conftest import RenderError, render
from tests.http.serving import accept, connected
from tests.support import clock, constants
from tests.support.webhook import HOST, SETTINGS, Webhook, running_webhook
from webhook.http.protocol import HEAD_BYTES, REQUEST_SECONDS
from webhook.http.serving import KEEP_ALIVE_SECONDS

INCOMPLETE = [
    b"POST /mutate HTTP/1.1\r\nHost: localhost\r\n",
    b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
]
"""A part of a head, and a head with a part of its body."""


@contextmanager
def connection(webhook: Webhook) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", webhook.port), timeout=30) as plain,
        webhook.trust.wrap_socket(plain, server_hostname=HOST) as connected,
    ):
        yield connected


def until_closed(connected: ssl.SSLSocket) -> bytes:
    """What the server sends until it closes the connection."""
    received = b""
    try:
        while chunk := connected.recv(65536):
            received += chunk
    except (ConnectionError, ssl.SSLError):
        pass
    return received


def send_until_refused(connected: ssl.SSLSocket, chunk: bytes) -> int:
    """How many bytes the server takes, at most some megabytes."""
    sent = 0
    try:
        while sent < HEAD_BYTES * 100:
            connected.sendall(chunk)
            sent += len(chunk)
            time.sleep(0.001)
    except (ConnectionError, ssl.SSLError):
        pass
    return sent


def test_a_head_without_end_is_cut_off(webhook: Webhook) -> None:
    with connection(webhook) as connected:
        connected.sendall(b"POST /mutate HTTP/1.1\r\nHost: localhost\r\n")
        assert send_until_refused(connected, b"X-Filler: " + b"x" * 4000 + b"\r\n") < HEAD_BYTES * 20


@pytest.mark.parametrize("beginning", INCOMPLETE)
def test_an_incomplete_request_is_given_up_at_its_deadline(beginning: bytes) -> None:
    async def steps() -> None:
        started = clock.now()
        async with connected(accept) as client:
            client.writer.write(beginning)
            received = asyncio.create_task(client.reader.read())
            await clock.advance_until(received.done)
            assert received.result() == b""
            assert REQUEST_SECONDS <= clock.now() - started < KEEP_ALIVE_SECONDS

    clock.run(steps())


def test_an_incomplete_request_over_tls_is_given_up(tmp_path: Path) -> None:
    """By the whole program and a real clock, because its event loop and TLS are not those of the test above."""
    program = constants.program({"webhook.http.protocol.REQUEST_SECONDS": 0.5})
    with running_webhook(tmp_path, SETTINGS, program=program) as hurried, connection(hurried) as connected:
        connected.sendall(INCOMPLETE[0])
        assert until_closed(connected) == b""


def test_an_idle_connection_stays_open_longer_than_a_request_may_take() -> None:
    async def steps() -> None:
        async with connected(accept) as client:
            await clock.until(lambda: client.server.server_state.connections)
            for _ in range(2):  # before its first request, and after it
                await clock.advance(REQUEST_SECONDS + 1)
                client.writer.write(b"GET / HTTP/1.1\r\n")
                await clock.advance(1)  # so that the request has a deadline
                client.writer.write(b"Host: localhost\r\n\r\n")
                assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")

    clock.run(steps())


def test_a_connection_without_any_request_is_closed_in_the_end() -> None:
    async def steps() -> None:
        started = clock.now()
        async with connected(accept) as client:
            received = asyncio.create_task(client.reader.read())
            await clock.advance_until(received.done)
            assert received.result() == b""
            assert clock.now() - started >= KEEP_ALIVE_SECONDS

    clock.run(steps())


def test_no_api_server_may_be_told_to_wait_longer_than_a_request_may_take() -> None:
    with pytest.raises(RenderError, match="timeoutSeconds"):
        render({"webhook": {"timeoutSeconds": REQUEST_SECONDS + 1}})


def test_trailers_without_end_take_no_memory(webhook: Webhook) -> None:
    with connection(webhook) as connected:
        connected.sendall(
            b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        )
        before = resident(webhook)
        send_until_refused(connected, b"".join(b"x%d: y\r\n" % index for index in range(5000)))
        assert resident(webhook) - before < 20


def resident(webhook: Webhook) -> float:
    """MiB."""
    return int(Path(f"/proc/{webhook.process.pid}/statm").read_text().split()[1]) * 4096 / 2**20


def test_bodies_on_their_way_are_bounded_together(webhook: Webhook) -> None:
    begun = b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7000000\r\n\r\n" + b" " * 6_000_000
    with ExitStack() as stack:
        for _ in range(12):
            connected = stack.enter_context(connection(webhook))
            with suppress(OSError):
                connected.sendall(begun)
        assert resident(webhook) < 160
    with webhook.client() as client:
        assert client.post("/mutate", content=b"{}").status_code == 400


def test_what_is_no_http_is_told_so(webhook: Webhook) -> None:
    with connection(webhook) as connected:
        connected.sendall(b"\x00\x01\x02\r\n\r\n")
        assert until_closed(connected).startswith(b"HTTP/1.1 400")


def test_a_client_that_hangs_up_harms_nobody(webhook: Webhook) -> None:
    for _ in range(50):
        with connection(webhook) as connected:
            connected.sendall(b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    with webhook.client() as client:
        assert client.post("/mutate", content=b"{}").status_code == 400
    assert "model_injector_errors_total 0.0" in webhook.ops("/metrics").text


def test_a_connection_is_kept_longer_than_the_api_server_keeps_it() -> None:
    assert KEEP_ALIVE_SECONDS > 90
