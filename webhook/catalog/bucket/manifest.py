"""manifest.json, which makes a version out of a folder, and SHA256SUMS beside it.

A manifest is written last and never again: where there is one, the version is whole, and stays as it is.
"""

import hashlib
from datetime import datetime
from typing import Final

import msgspec

from webhook.catalog.bucket.store import CatalogError

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a manifest: some 100,000 files."""


class ManifestFile(msgspec.Struct, frozen=True, gc=False):
    """One file of a version; `path` is relative to its folder."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What a version is."""

    model: str
    version: str
    created_at: datetime
    files: tuple[ManifestFile, ...]
    labels: dict[str, str] = {}

    @property
    def size(self) -> int:
        """Bytes of the files together."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        """As it stands in the bucket."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def sums(files: tuple[ManifestFile, ...]) -> bytes:
    """SHA256SUMS, in the format that `sha256sum -c` reads."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()


def decode(content: bytes) -> Manifest:
    """The manifest in a file. Raises CatalogError where it is none."""
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise CatalogError(f"{MANIFEST} is not what publishing writes: {error}") from error


def digest(content: bytes) -> str:
    """What tells one manifest from any other: its sha256, in hex."""
    return hashlib.sha256(content).hexdigest()


_decoder: Final = msgspec.json.Decoder(Manifest)
