"""uvicorn's HTTP/1.1 protocol, with bounds on requests and answers.

uvicorn bounds neither how long a client may take for its request nor how large the head of it grows, it keeps a
connection without any request for ever, and one whose client does not read its answer.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 64 * 1024
REQUEST_SECONDS: Final = 10
"""From the first byte to the last; the API server does not wait longer than this for any webhook's answer."""
ANSWER_SECONDS: Final = 10
"""Without a client taking any of its answer."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request has too large a head, or is too long in coming."""

    _head_bytes: int | None = None
    """Of a head that is not whole yet; None between a head's end and the next request."""
    _is_whole = True
    _timer: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """A client has connected: it may be idle as long as one that has been served."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_timer()
        self._stop_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come. The timer costs nothing where they make a whole request."""
        super().data_received(data)
        if self._is_whole or self.transport.is_closing():
            return
        if self._timer is None:
            self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()  # without a word, for a client that goes on sending hears none

    def on_message_begin(self) -> None:
        """A request's first byte has come."""
        super().on_message_begin()
        self._is_whole, self._head_bytes = False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole. Those after a chunked body are of no use, and there is no end to them."""
        if self._head_bytes is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._is_whole = True
        self._stop_timer()
        super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it comes."""
        super().pause_writing()
        self._writing = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of what there was."""
        super().resume_writing()
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
