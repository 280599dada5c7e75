"""Uploading one file as a new object, in parts if it is large.

The hash of each part is compared again just before it is sent, so that the object matches the manifest even if the file
changes during the upload.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, wait
from pathlib import Path
from typing import Final

import msgspec

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.manifest import ManifestFile
from webhook.catalog.bucket.store import Store
from webhook.errors import InvalidInput

PART: Final = 16 << 20
"""The size of a part in bytes. Larger for files that would exceed S3's maximum number of parts."""
_MOST_PARTS: Final = 10_000
HASH: Final = "sha256"
"""The key of an object's metadata that holds the file's sha256, by which an uploaded file is recognized."""


class LocalFile(msgspec.Struct, frozen=True):
    """A local file, with its hashes."""

    path: Path
    file: ManifestFile
    parts: tuple[bytes, ...]
    """The sha256 of each part."""


def read(name: str, path: Path, progress: Callable[[int], None]) -> LocalFile:
    """Read and hash a file. Raises InvalidInput if it cannot be read."""
    whole, parts, size = hashlib.sha256(), [], 0
    length = part_size(path.stat().st_size)
    try:
        with path.open("rb") as opened:
            while chunk := opened.read(length):
                whole.update(chunk)
                parts.append(hashlib.sha256(chunk).digest())
                size += len(chunk)
                progress(len(chunk))
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}") from error
    return LocalFile(path, ManifestFile(name, size, whole.hexdigest()), tuple(parts))


def part_size(size: int) -> int:
    """The size in bytes of the parts of a file of `size` bytes."""
    return max(PART, -(-size // _MOST_PARTS))


def upload(store: Store, key: str, local: LocalFile, threads: Executor, progress: Callable[[int], None]) -> None:
    """Upload a file. `threads` send the parts of a large one, and so limit how many are in memory.

    Raises PreconditionFailed if the object exists, and CatalogError if the file changed or S3 fails.
    """
    metadata = {HASH: local.file.sha256}
    if len(local.parts) <= 1:
        store.create(key, _part(local, 0), metadata=metadata)
        progress(local.file.size)
        return
    with store.multipart_upload(key, metadata) as send:

        def send_part(index: int) -> None:
            content = _part(local, index)
            send(index + 1, content)
            progress(len(content))

        parts = [threads.submit(send_part, index) for index in range(len(local.parts))]
        try:
            for part in parts:
                part.result()
        finally:  # after an error, stop the other parts before the upload is aborted
            for part in parts:
                part.cancel()
            wait(parts)


def _part(local: LocalFile, index: int) -> bytes:
    length = part_size(local.file.size)
    try:
        with local.path.open("rb") as opened:
            opened.seek(index * length)
            content = opened.read(length)
    except OSError as error:
        raise CatalogError(f"{local.file.path} cannot be read any more: {error.strerror}") from error
    planned = local.parts[index] if local.parts else hashlib.sha256().digest()
    if hashlib.sha256(content).digest() != planned:
        raise CatalogError(f"{local.file.path} changed during the upload; publish again")
    return content
