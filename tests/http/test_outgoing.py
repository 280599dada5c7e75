"""Answers to clients that take them slowly, or not at all, from a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from webhook.http import outgoing, protocol
from webhook.http.outgoing import MAX_IN_FLIGHT, ResponseSender
from webhook.http.serving import listen, server

LARGE = bytes(12 * 1024 * 1024)
"""More than kernels keep of it for a client."""


@asynccontextmanager
async def answering(sender: ResponseSender) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client whose request is being answered."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await sender.send(send, 200, {"Content-Type": "text/plain"}, LARGE)

    listening = listen("127.0.0.1", 0)
    serving = server(app)
    task = asyncio.create_task(serving.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname(), limit=4096)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()
        serving.should_exit = True
        await task


async def until_free(sender: ResponseSender) -> None:
    async with asyncio.timeout(20):
        while not sender.has_room(bytes(MAX_IN_FLIGHT)):
            await asyncio.sleep(0.05)


def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "RESPONSE_SECONDS", 1)

    async def steps() -> None:
        sender = ResponseSender()
        async with answering(sender) as (reader, _):
            await reader.readexactly(10)
            assert not sender.has_room(bytes(MAX_IN_FLIGHT))
            await until_free(sender)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(len(LARGE))

    asyncio.run(steps())


def test_a_client_that_takes_a_little_now_and_then_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "_SECONDS", 2)

    async def steps() -> None:
        sender, taken = ResponseSender(), 0
        async with answering(sender) as (reader, _):
            while not sender.has_room(bytes(MAX_IN_FLIGHT)) or not taken:
                taken += len(await reader.read(65536))
                await asyncio.sleep(0.05)
            assert taken < len(LARGE)

    asyncio.run(steps())


def test_a_client_that_reads_gets_it_all() -> None:
    async def steps() -> None:
        async with answering(ResponseSender()) as (reader, _):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(LARGE) in head
            assert await reader.readexactly(len(LARGE)) == LARGE

    asyncio.run(steps())
