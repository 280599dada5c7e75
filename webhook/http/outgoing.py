"""Answers that may be large, to clients that may be slow: a bounded part of the memory, for a bounded time."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.types import Send

MAX_IN_FLIGHT: Final = 24 * 1024 * 1024
"""Bytes of all answers that are on their way."""
_CHUNK: Final = 64 * 1024
_SECONDS: Final = 60


class ResponseSender:
    """Sends answers, and knows how much of them is in memory."""

    def __init__(self) -> None:
        self._in_flight = 0

    def has_room(self, content: bytes) -> bool:
        """Whether an answer may be sent beside those on their way."""
        return self._in_flight + len(content) <= MAX_IN_FLIGHT

    async def send(self, send: Send, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Send an answer, piece by piece; give up on a client that takes it too slowly."""
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
