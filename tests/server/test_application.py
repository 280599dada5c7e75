"""The web application is created once, by its first request, and nobody else waits for that."""

import asyncio
import contextlib
import threading

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from webhook.server.application import CreatedOnDemand

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def receive() -> Message:
    return {"type": "http.request"}


async def body(app: ASGIApp) -> bytes:
    """The body of a response of the application."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(SCOPE, receive, send)
    return b"".join(message.get("body", b"") for message in sent)


def test_two_first_requests_share_one_application_and_the_loop_goes_on_meanwhile() -> None:
    created: list[int] = []
    proceed = threading.Event()

    def create() -> ASGIApp:
        assert proceed.wait(30)
        created.append(threading.get_ident())
        return PlainTextResponse("the page")

    async def scenario() -> list[bytes]:
        app = CreatedOnDemand(create)
        requests = [asyncio.create_task(body(app)) for _ in range(2)]
        await asyncio.sleep(0)  # the loop answers others, or this line is never left
        proceed.set()
        return [*await asyncio.gather(*requests), await body(app)]

    assert asyncio.run(scenario()) == [b"the page"] * 3
    assert len(created) == 1
    assert created != [threading.get_ident()]


def test_a_first_request_that_is_cancelled_leaves_the_creation_to_the_next() -> None:
    proceed = threading.Event()

    def create() -> ASGIApp:
        assert proceed.wait(30)
        return PlainTextResponse("the page")

    async def scenario() -> bytes:
        app = CreatedOnDemand(create)
        first = asyncio.create_task(body(app))
        await asyncio.sleep(0)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        proceed.set()
        return await body(app)

    assert asyncio.run(scenario()) == b"the page"
