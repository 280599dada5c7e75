"""Sending large responses to slow clients with limits on memory and time."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.types import Send

MAX_IN_FLIGHT: Final = 24 * 1024 * 1024
"""The maximum total size in bytes of all responses that are being sent."""
_CHUNK: Final = 64 * 1024
_SECONDS: Final = 60


class ResponseSender:
    """Sends responses, and counts the bytes in memory."""

    def __init__(self) -> None:
        self._in_flight = 0

    def has_room(self, content: bytes) -> bool:
        """Whether a response fits beside those that are being sent."""
        return self._in_flight + len(content) <= MAX_IN_FLIGHT

    async def send(self, send: Send, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Send a response in chunks. Gives up silently after 60 s."""
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        raw.append((b"content-length", str(len(content)).encode()))
        self._in_flight += len(content)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await send({"type": "http.response.start", "status": status, "headers": raw})
                    for start in range(0, max(len(content), 1), _CHUNK):
                        piece, is_last = content[start : start + _CHUNK], start + _CHUNK >= len(content)
                        await send({"type": "http.response.body", "body": piece, "more_body": not is_last})
        finally:
            self._in_flight -= len(content)
