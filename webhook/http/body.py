"""Requests, taken in within bounds: their bodies, and whether their clients still wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Receive, Scope

from webhook.http.errors import BodyTooLarge, Busy

MAX_BODY: Final = 7 * 1024 * 1024
"""Bytes. The API server takes objects of up to 3 MiB, and a review may hold two of them."""
MAX_IN_FLIGHT: Final = 32 * 1024 * 1024
"""Bytes of all bodies that are on their way: thousands of usual ones, and a bound to what a few clients can hold."""


T = TypeVar("T")


class ClientGone(Exception):
    """The client has hung up before its request was whole; nobody waits for an answer."""


class BodyReader:
    """Reads bodies of at most so many bytes, and knows how much of them is in memory."""

    def __init__(self, most: int = MAX_BODY) -> None:
        self._most, self._in_flight = most, 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """A request's body. Raises BodyTooLarge as soon as that shows, Busy, and ClientGone."""
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._most:
                raise BodyTooLarge(f"the body is larger than {self._most} bytes")
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"] and len(message["body"]) <= self._most:
            whole: bytes = message["body"]
            return whole
        body = bytearray()
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message["body"]
                self._in_flight += len(message["body"])
                if len(body) > self._most:
                    raise BodyTooLarge(f"the body is larger than {self._most} bytes")
                if self._in_flight > MAX_IN_FLIGHT:
                    raise Busy(f"more than {MAX_IN_FLIGHT} bytes of bodies are on their way; try again")
                if not message["more_body"]:
                    return bytes(body)
                message = await receive()
        finally:
            self._in_flight -= len(body)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do some work for a client whose request is whole. Raises ClientGone, and ends the work, when it hangs up."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_end(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
