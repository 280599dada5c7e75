"""One file into the bucket, in parts where it is large, and only where nothing is yet.

Each part is read, compared with what was planned, and sent as it was compared: what arrives is what the manifest will
say, whatever happens to the file meanwhile.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, wait
from pathlib import Path
from typing import Final

import msgspec

from webhook.catalog.bucket.manifest import ManifestFile
from webhook.catalog.bucket.store import CatalogError, Store
from webhook.errors import InvalidInput

PART: Final = 16 << 20
"""Bytes of a part; more where a file would have more parts than S3 takes."""
_MOST_PARTS: Final = 10_000
HASH: Final = "sha256"
"""The metadata by which an uploaded file is known again."""


class LocalFile(msgspec.Struct, frozen=True):
    """A file of this machine, as it was read."""

    path: Path
    file: ManifestFile
    parts: tuple[bytes, ...]
    """The sha256 of each part."""


def read(name: str, path: Path, progress: Callable[[int], None]) -> LocalFile:
    """Read a file. Raises InvalidInput where it can't be read."""
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
        raise InvalidInput(f"{name} can't be read: {error.strerror}") from error
    return LocalFile(path, ManifestFile(name, size, whole.hexdigest()), tuple(parts))


def part_size(size: int) -> int:
    """Bytes of each part of a file of this size."""
    return max(PART, -(-size // _MOST_PARTS))


def upload(store: Store, key: str, local: LocalFile, threads: Executor, progress: Callable[[int], None]) -> None:
    """Send a file, the parts of a large one by `threads`, which bound how many are in memory.

    Raises Changed where the object exists, and CatalogError, also where the file has changed.
    """
    metadata = {HASH: local.file.sha256}
    if len(local.parts) <= 1:
        store.create(key, _part(local, 0), metadata=metadata)
        progress(local.file.size)
        return
    with store.parts(key, metadata) as send:

        def one(index: int) -> None:
            content = _part(local, index)
            send(index + 1, content)
            progress(len(content))

        sent = [threads.submit(one, index) for index in range(len(local.parts))]
        try:
            for each in sent:
                each.result()
        finally:  # of what fails, nothing goes on in the background
            for each in sent:
                each.cancel()
            wait(sent)


def _part(local: LocalFile, index: int) -> bytes:
    length = part_size(local.file.size)
    try:
        with local.path.open("rb") as opened:
            opened.seek(index * length)
            content = opened.read(length)
    except OSError as error:
        raise CatalogError(f"{local.file.path} can't be read any more: {error.strerror}") from error
    planned = local.parts[index] if local.parts else hashlib.sha256().digest()
    if hashlib.sha256(content).digest() != planned:
        raise CatalogError(f"{local.file.path} has changed while it was uploaded; publish again")
    return content
