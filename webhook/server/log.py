"""Logs as JSON, one object a line, on standard output."""

import logging
import sys
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


def write(message: str, fields: Mapping[str, Any]) -> None:
    """Log at the level `info`, without logging's machinery: it would take as long as the decision that it tells of."""
    sys.stdout.write(_line(datetime.now(UTC), "info", message, fields) + "\n")
    sys.stdout.flush()


def _line(time: datetime, level: str, message: str, fields: Mapping[str, Any]) -> str:
    return msgspec.json.encode({"time": time, "level": level, "message": message, **fields}).decode()


def configure() -> None:
    """Send everything that is logged, uvicorn's lines included, to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
