"""Clients that are slow, or never come to an end."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.chart.conftest import RenderError, render
from tests.support import constants
from tests.support.webhook import HOST, SETTINGS, Webhook, running_webhook
from webhook.http.protocol import HEAD_BYTES, REQUEST_SECONDS
from webhook.http.serving import KEEP_ALIVE_SECONDS

SHORT_SECONDS = 1
"""How long a request may take at the webhook that is in a hurry."""


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    program = constants.program({"webhook.http.protocol.REQUEST_SECONDS": SHORT_SECONDS})
    with running_webhook(tmp_path_factory.mktemp("hurried"), SETTINGS, program=program) as running:
        yield running


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


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /mutate HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_request_that_does_not_come_whole_is_given_up(hurried: Webhook, beginning: bytes) -> None:
    with connection(hurried) as connected:
        started = time.monotonic()
        connected.sendall(beginning)
        assert until_closed(connected) == b""
        assert time.monotonic() - started >= SHORT_SECONDS


def test_an_idle_connection_stays_open_longer_than_a_request_may_take(hurried: Webhook) -> None:
    with connection(hurried) as connected:
        time.sleep(SHORT_SECONDS + 0.5)
        connected.sendall(b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert connected.recv(65536).startswith(b"HTTP/1.1 400")


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
