"""Requests to an S3 server, and the faults that a FaultyProxy can answer them with."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Request:
    """A request as the server would see it: `target` is the path and query, quoted; header names are in any case."""

    method: str
    target: str
    headers: Message

    @property
    def key(self) -> str:
        """The object that it is about; empty for one about the bucket."""
        return unquote(urlsplit(self.target).path).lstrip("/").partition("/")[2]

    @property
    def query(self) -> dict[str, str]:
        """Its parameters."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def is_listing(self) -> bool:
        """ListObjectsV2."""
        return "list-type" in self.query

    def is_next_page(self) -> bool:
        """ListObjectsV2, of any page but the first."""
        return "continuation-token" in self.query

    def is_download(self) -> bool:
        """GetObject."""
        return self.method == "GET" and self.key != ""


def download_of(name: str) -> Callable[[Request], bool]:
    """GetObject of a key that ends so."""
    return lambda request: request.is_download() and request.key.endswith(name)


@dataclass(frozen=True)
class Answer:
    """A whole response. As a fault: the server is not asked."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Edit:
    """The server's own answer, changed."""

    change: Callable[[Answer], Answer]


@dataclass(frozen=True)
class Cut:
    """The server's own answer, and the connection closed after so many bytes of the body."""

    after: int = 0


@dataclass(frozen=True)
class Stall:
    """The server's own answer, and nothing any more after so many bytes of the body, with the connection left open."""

    after: int = 0


@dataclass(frozen=True)
class Trickle:
    """The server's own answer, byte by byte, with so many seconds after each."""

    seconds: float


@dataclass(frozen=True)
class Drop:
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Ignore:
    """The server's own answer to the request without this header."""

    header: str


Fault: TypeAlias = Answer | Edit | Cut | Stall | Trickle | Drop | Ignore


def s3_error(status: int, code: str, message: str) -> Answer:
    """An error in S3's own form; `message` is any text."""
    body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Answer(status, body.encode(), (("Content-Type", "application/xml"),))


SLOW_DOWN = s3_error(503, "SlowDown", "Please reduce your request rate.")
ACCESS_DENIED = s3_error(403, "AccessDenied", "Access Denied")


def clock_ahead(seconds: int) -> Edit:
    """An S3 whose clock is ahead of the node's: its Date header and its objects' LastModified."""
    ahead = timedelta(seconds=seconds)

    def later(found: re.Match[bytes]) -> bytes:
        return (datetime.fromisoformat(found[0].decode()) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ").encode()

    def change(answer: Answer) -> Answer:
        body = re.sub(rb"(?<=<LastModified>)[^<]+", later, answer.body)
        headers = tuple(
            (name, format_datetime(parsedate_to_datetime(value) + ahead, usegmt=True) if name == "Date" else value)
            for name, value in answer.headers
        )
        return replace(answer, body=body, headers=headers)

    return Edit(change)


def _without_etags(answer: Answer) -> Answer:
    body = re.sub(rb"<ETag>.*?</ETag>", b"<ETag></ETag>", answer.body)
    return replace(answer, body=body, headers=tuple(each for each in answer.headers if each[0] != "ETag"))


NO_ETAGS = Edit(_without_etags)
"""A store that has none, in listings and in answers."""
