"""manifest.json, which describes a published version, and SHA256SUMS.

The manifest is written last and never changes: a version with a manifest is complete and immutable.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Final

import msgspec

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.store import LARGEST_OBJECT

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
LARGEST: Final = 16 * 1024 * 1024
"""The maximum size of a manifest in bytes, enough for about 100,000 files."""


class ManifestFile(msgspec.Struct, frozen=True, gc=False):
    """One file of a version. `path` is relative to the version's folder; `size` is in bytes."""

    path: str
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_OBJECT)]
    sha256: str


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """The content of manifest.json."""

    model: str
    version: str
    created_at: datetime
    files: tuple[ManifestFile, ...]
    labels: dict[str, str] = {}

    @property
    def size(self) -> int:
        """The total size of the files in bytes."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        """The bytes of manifest.json."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def sums(files: tuple[ManifestFile, ...]) -> bytes:
    """The content of SHA256SUMS, in the format of `sha256sum -c`."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()


def decode(content: bytes) -> Manifest:
    """Parse manifest.json. Raises CatalogError."""
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise CatalogError(f"{MANIFEST} is not a manifest of model-injector: {error}") from error


def digest(content: bytes) -> str:
    """The sha256 of a manifest, in hex. Identifies the version's content."""
    return hashlib.sha256(content).hexdigest()


_decoder: Final = msgspec.json.Decoder(Manifest)
