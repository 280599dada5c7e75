"""What the cache has: versions, by a key that stands for their content, and what pods asked for."""

import hashlib
import re
from pathlib import Path
from typing import Final

import msgspec

KEY_LENGTH: Final = 40
"""In hex digits."""
_KEY: Final = re.compile(r"[0-9a-f]+")


class Marker(msgspec.Struct, frozen=True, rename="camel"):
    """What a version in the cache is. `verify` is how its files were checked."""

    source: str
    model: str
    version: str
    uri: str
    digest: str
    """The sha256 of its manifest, in hex. Of a version without one: that of its listing."""
    files: int
    bytes: int
    seconds: float
    """How long the download took."""
    verify: str
    at: str
    """When it was complete, in RFC 3339."""


class Entry(msgspec.Struct, frozen=True):
    """A complete version."""

    key: str
    marker: Marker
    files: Path
    used_at: float
    """When it was mounted last, in seconds since the epoch."""


class MountedVolume(msgspec.Struct, frozen=True):
    """What a pod asked for, whose volume is mounted at `target`."""

    target: str
    source: str
    model: str
    asked: str


def key_of(uri: str, endpoint_url: str, digest: str) -> str:
    """The name of a version's folder in the cache: in hex, so that it is a name in one folder whatever it is made of.

    Different content has a different key, and so have buckets of the same name in two stores.
    """
    text = "\n".join((endpoint_url, uri, digest))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def is_key(name: str) -> bool:
    """Whether a name can be that of a version's folder."""
    return bool(_KEY.fullmatch(name))
