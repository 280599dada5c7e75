"""Bodies of requests, read within bounds."""

from typing import Final

from starlette.types import Receive, Scope

from webhook.errors import BodyTooLarge, Busy

MAX_BODY: Final = 7 * 1024 * 1024
"""Bytes. The API server takes objects of up to 3 MiB, and a review may hold two of them."""
MAX_IN_FLIGHT: Final = 32 * 1024 * 1024
"""Bytes of all bodies that are on their way: thousands of usual ones, and a bound to what a few clients can hold."""


class ClientGone(Exception):
    """The client has hung up before its request was whole; nobody waits for an answer."""


class Bodies:
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
