"""uvicorn's HTTP/1.1 protocol, with limits on time and size.

uvicorn limits neither the time that a client takes to send its request nor the size of the request's head. It also
keeps connections without requests, and connections whose client does not read the response, without a time limit.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 64 * 1024
REQUEST_SECONDS: Final = 10
"""From a request's first byte to its last. The API server's default timeout for webhooks is the same."""
RESPONSE_SECONDS: Final = 10
"""How long a client may read nothing of a pending response."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request or response exceeds a limit."""

    _head_bytes: int | None = None
    """The size of an incomplete head. None from a head's end until the next request."""
    _is_complete = True
    _timer: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """Start the keep-alive timer, which uvicorn starts only after the first response."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop_timer()
        self._stop_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Check the limits. A request that arrives as a whole needs no timer."""
        super().data_received(data)
        if self._is_complete or self.transport.is_closing():
            return
        if self._timer is None:
            self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()  # without a response, because a client that is still sending would not read it

    def on_message_begin(self) -> None:
        """Start measuring a request."""
        super().on_message_begin()
        self._is_complete, self._head_bytes = False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers of a chunked body are dropped, because their number is unlimited."""
        if self._head_bytes is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting the head's bytes."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the request's timer."""
        self._is_complete = True
        self._stop_timer()
        super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """Start the response's timer: the client reads more slowly than the server writes."""
        super().pause_writing()
        self._writing = self.loop.call_later(RESPONSE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the response's timer."""
        super().resume_writing()
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
