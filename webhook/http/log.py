"""Logs as JSON, one object a line, on standard output."""

import logging
import os
import select
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

FIELDS: Final = "fields"
"""`logger.info("decision", extra={FIELDS: {…}})` puts these into the line."""


class JsonFormatter(logging.Formatter):
    """A record as one line: time, level, message, then the record's own fields, then a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = getattr(record, FIELDS, {})
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        return _line(datetime.fromtimestamp(record.created, UTC), record.levelname.lower(), record.getMessage(), fields)


class _Output:
    """Standard output for lines that may be lost: where nobody reads it, or its disk is full, admission goes on."""

    _CHUNK = 4096
    """Bytes that a pipe takes at once when it says that it takes any (PIPE_BUF)."""

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, text: str) -> None:
        data = text.encode()
        try:
            for start in range(0, len(data), self._CHUNK):
                if self._poll.poll(0) != [(self._descriptor, select.POLLOUT)]:
                    return
                os.write(self._descriptor, data[start : start + self._CHUNK])
        except OSError:
            pass  # there is nowhere to tell of it


_output: Final = _Output()


def write(message: str, fields: Mapping[str, Any]) -> None:
    """Log at the level `info`, without logging's machinery: it would take as long as the decision that it tells of."""
    if logging.root.isEnabledFor(logging.INFO):
        _output.write(_line(datetime.now(UTC), "info", message, fields) + "\n")


def frames(error: BaseException) -> str:
    """Where an error comes from, and its type. What it says is left out, for it may be a user's."""
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])


def _line(time: datetime, level: str, message: str, fields: Mapping[str, Any]) -> str:
    return msgspec.json.encode({"time": time, "level": level, "message": message, **fields}).decode()


def configure(level: int = logging.INFO) -> None:
    """Send what is logged from this level on, uvicorn's lines included, to standard output as JSON."""
    handler = logging.StreamHandler(_output)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
