"""Reading request bodies with limits, and noticing clients that disconnect."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Receive, Scope

from webhook.http.errors import BodyTooLarge, Busy

MAX_BODY: Final = 7 * 1024 * 1024
"""The maximum size of a body in bytes. The API server accepts objects of up to 3 MiB; a review may contain two."""
MAX_IN_FLIGHT: Final = 32 * 1024 * 1024
"""The maximum total size in bytes of all bodies that are being received. Bounds the memory that slow clients occupy."""


T = TypeVar("T")


class ClientGone(Exception):
    """The client disconnected before it got a response."""


class BodyReader:
    """Reads bodies of at most `most` bytes, and counts the bytes in memory."""

    def __init__(self, most: int = MAX_BODY) -> None:
        self._most, self._in_flight = most, 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Read a request's body. Raises BodyTooLarge, Busy or ClientGone."""
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
                    raise Busy(f"the server is receiving more than {MAX_IN_FLIGHT} bytes of bodies; try again")
                if not message["more_body"]:
                    return bytes(body)
                message = await receive()
        finally:
            self._in_flight -= len(body)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` for a request that is read already. Cancels it and raises ClientGone if the client disconnects."""
    working, disconnecting = asyncio.ensure_future(work), asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((working, disconnecting), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        disconnecting.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
