"""Which files of a version share a layer, and the bytes of a layer: an uncompressed tar archive.

Both are functions of the files' paths, sizes and content alone, so that files that stay the same keep their layer.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import msgspec

from webhook.catalog.bucket.manifest import MANIFEST, SUMS

LARGE: Final = 16 << 20
"""The size in bytes from which a file has a layer of its own."""
_MOST_LARGE: Final = 77
"""The maximum number of layers of large files. A model with more large files has several in each layer."""
_SMALL_LAYER: Final = 64 << 20
"""The size in bytes up to which small files share a layer. Larger if there would be too many layers."""
_MOST_SMALL: Final = 16
"""With those above and the layer of the catalog's files, an image has at most 100 layers: runtimes allow some 120."""
_BLOCK: Final = tarfile.BLOCKSIZE
_FORMAT: Final = 1
"""To be increased if the bytes of a layer change for the same files."""
_END: Final = bytes(2 * _BLOCK)


class LayerFile(msgspec.Struct, frozen=True, gc=False):
    """A file of a version. `path` is relative to the version's folder; `size` is in bytes."""

    path: str
    size: int
    sha256: str = ""
    """Empty without a manifest. Then `etag` says which object it is."""
    etag: str = ""


class Part(NamedTuple):
    """A part of a layer that begins at `offset`: these bytes, or the content of the file."""

    offset: int
    content: bytes
    file: LayerFile | None


def split(files: Iterable[LayerFile]) -> list[tuple[LayerFile, ...]]:
    """The layers of a version: one for each large file, some for the small ones, and one for the catalog's own files.

    The catalog's files differ in every version, so that they must not change the layer of others.
    """
    ordered = sorted(files, key=lambda file: file.path)
    own = [file for file in ordered if file.path in (MANIFEST, SUMS)]
    large = [file for file in ordered if file.size >= LARGE and file not in own]
    small = [file for file in ordered if file.size < LARGE and file not in own]
    together = -(-len(large) // _MOST_LARGE) or 1
    layers = [tuple(large[start : start + together]) for start in range(0, len(large), together)]
    return [*layers, *_share(small), *([tuple(own)] if own else [])]


def _share(files: Sequence[LayerFile]) -> Iterator[tuple[LayerFile, ...]]:
    most = max(_SMALL_LAYER, -(-sum(file.size for file in files) // _MOST_SMALL))
    layer: list[LayerFile] = []
    size = 0
    for file in files:
        if layer and size + file.size > most:
            yield tuple(layer)
            layer, size = [], 0
        layer.append(file)
        size += file.size
    if layer:
        yield tuple(layer)


def parts(files: Sequence[LayerFile]) -> Iterator[Part]:
    """The parts of a layer, in order. The last one has no bytes, and its offset is the layer's size."""
    offset, folders = 0, set[PurePosixPath]()
    for file in files:
        head = bytearray()
        for folder in reversed(PurePosixPath(file.path).parents[:-1]):
            if folder not in folders:
                folders.add(folder)
                head += _header(f"{folder}/", 0, tarfile.DIRTYPE, 0o755)
        head += _header(file.path, file.size, tarfile.REGTYPE, 0o644)
        yield Part(offset, bytes(head), None)
        offset += len(head)
        yield Part(offset, b"", file)
        offset += file.size
        if padding := -file.size % _BLOCK:
            yield Part(offset, bytes(padding), None)
            offset += padding
    yield Part(offset, _END, None)
    yield Part(offset + len(_END), b"", None)


def size_of(files: Sequence[LayerFile]) -> int:
    """The size of a layer in bytes."""
    offset = 0
    for part in parts(files):
        offset = part.offset
    return offset


def recipe(files: Sequence[LayerFile], folder: str) -> str | None:
    """A sha256, in hex, that stands for the content of a layer without knowing its digest. None if nothing does.

    `folder` is the URI of the files' folder. Together with it, an ETag stands for the content of a file without a hash.
    """
    if not all(file.sha256 or file.etag.strip('"') for file in files):
        return None
    names = [(file.path, file.size, file.sha256 or f"{folder} {file.etag}") for file in files]
    return hashlib.sha256(msgspec.json.encode((_FORMAT, names))).hexdigest()


def _header(name: str, size: int, kind: bytes, mode: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.mode, entry.mtime = size, kind, mode, 0
    return entry.tobuf(tarfile.PAX_FORMAT)
