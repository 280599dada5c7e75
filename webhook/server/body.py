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
    """Reads bodies, and knows how much of them is in memory."""

    def __init__(self) -> None:
        self._in_flight = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """A request's body. Raises BodyTooLarge as soon as that shows, Busy, and ClientGone."""
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > MAX_BODY:
                raise BodyTooLarge(f"the body is larger than {MAX_BODY} bytes, which no AdmissionReview is")
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"] and len(message["body"]) <= MAX_BODY:
            whole: bytes = message["body"]
            return whole
        body = bytearray()
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message["body"]
                self._in_flight += len(message["body"])
                if len(body) > MAX_BODY:
                    raise BodyTooLarge(f"the body is larger than {MAX_BODY} bytes, which no AdmissionReview is")
                if self._in_flight > MAX_IN_FLIGHT:
                    raise Busy(f"more than {MAX_IN_FLIGHT} bytes of bodies are on their way; try again")
                if not message["more_body"]:
                    return bytes(body)
                message = await receive()
        finally:
            self._in_flight -= len(body)
