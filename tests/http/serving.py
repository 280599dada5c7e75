"""A server in the test's own event loop, whose clock the test may move."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook.http.serving import listen, server


@dataclass(frozen=True)
class Connection:
    """A client's connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: uvicorn.Server


async def accept(_: Scope, receive: Receive, send: Send) -> None:
    """An application that reads the body of a request, and answers with 204."""
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.request":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[Connection]:
    """Run a server for an application, and connect to it."""
    listening = listen("127.0.0.1", 0)
    serving = server(app)
    task = asyncio.create_task(serving.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname(), limit=4096)
    try:
        yield Connection(reader, writer, serving)
    finally:
        writer.close()
        serving.should_exit = True
        await task
