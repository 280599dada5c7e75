"""JSON logs, one object per line, on standard output."""

import logging
import os
import select
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

FIELDS: Final = "fields"
"""The key of additional fields: `logger.info("decision", extra={FIELDS: {…}})`."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line: time, level, message, the record's fields, and the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a newline."""
        fields = getattr(record, FIELDS, {})
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        return _line(datetime.fromtimestamp(record.created, UTC), record.levelname.lower(), record.getMessage(), fields)


class _Output:
    """Standard output that drops lines instead of blocking: a full pipe or disk must not stop admission.

    Several threads may write: a poll object raises RuntimeError if two of them use it at the same time.
    """

    _CHUNK = 4096
    """PIPE_BUF: the number of bytes that a writable pipe accepts without blocking."""

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        data = text.encode()
        with self._lock, suppress(OSError):  # standard output is the log, so its errors cannot be logged
            for start in range(0, len(data), self._CHUNK):
                if self._poll.poll(0) != [(self._descriptor, select.POLLOUT)]:
                    return
                os.write(self._descriptor, data[start : start + self._CHUNK])


_output: Final = _Output()


def write(message: str, fields: Mapping[str, Any]) -> None:
    """Log at level `info` without the `logging` module, which would take as long as the decision that is logged."""
    if logging.root.isEnabledFor(logging.INFO):
        _output.write(_line(datetime.now(UTC), "info", message, fields) + "\n")


def frames(error: BaseException) -> str:
    """The traceback and the type of an error, without its message, which may contain a user's data."""
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])


def _line(time: datetime, level: str, message: str, fields: Mapping[str, Any]) -> str:
    return msgspec.json.encode({"time": time, "level": level, "message": message, **fields}).decode()


def configure(level: int = logging.INFO) -> None:
    """Log to standard output as JSON, from this level on. From uvicorn's server, only warnings and errors."""
    handler = logging.StreamHandler(_output)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
