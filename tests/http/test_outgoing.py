"""Answers to clients that take them slowly, or not at all, from a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from tests.http.serving import connected
from tests.support import clock
from webhook.http import outgoing, protocol
from webhook.http.outgoing import MAX_IN_FLIGHT, ResponseSender

LARGE = bytes(12 * 1024 * 1024)
"""More than kernels keep of it for a client."""


@asynccontextmanager
async def answering(sender: ResponseSender) -> AsyncIterator[asyncio.StreamReader]:
    """A client whose request is being answered."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await sender.send(send, 200, {"Content-Type": "text/plain"}, LARGE)

    async with connected(app) as client:
        client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        yield client.reader


def is_free(sender: ResponseSender) -> bool:
    return sender.has_room(bytes(MAX_IN_FLIGHT))


def test_a_client_that_reads_nothing_is_given_up() -> None:
    async def steps() -> None:
        sender, started = ResponseSender(), clock.now()
        async with answering(sender) as reader:
            await reader.readexactly(10)
            assert not is_free(sender)
            await clock.advance_until(lambda: is_free(sender))
            assert protocol.RESPONSE_SECONDS <= clock.now() - started < outgoing._SECONDS
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(len(LARGE))

    clock.run(steps())


def test_a_client_that_reads_a_little_now_and_then_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "RESPONSE_SECONDS", 1000)  # a client that reads often enough

    async def steps() -> None:
        sender, started, read = ResponseSender(), clock.now(), 0
        async with answering(sender) as reader:
            read += len(await reader.read(10))
            while not is_free(sender):
                read += len(await reader.read(65536))
                await clock.advance(1)
            assert outgoing._SECONDS <= clock.now() - started < outgoing._SECONDS + 10
            assert read < len(LARGE)

    clock.run(steps())


def test_a_client_that_reads_gets_it_all() -> None:
    async def steps() -> None:
        async with answering(ResponseSender()) as reader:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(LARGE) in head
            assert await reader.readexactly(len(LARGE)) == LARGE

    asyncio.run(steps())
