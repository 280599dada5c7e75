"""The bytes of a layer, from any offset: read from the bucket, hashed, and compared with the manifest."""

import hashlib
import random
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Final

from webhook.catalog.bucket.errors import CatalogError, Unreachable
from webhook.catalog.bucket.store import Store
from webhook.images.layers import LayerFile, parts, size_of

_PIECE: Final = 1 << 20
"""Small pieces are joined up to this number of bytes."""
_AHEAD: Final = 12
"""The number of small files that are read ahead: their requests take longer than their bytes."""
_SMALL: Final = 256 << 10
_ATTEMPTS: Final = 8
_LONGEST_PAUSE_SECONDS: Final = 10.0


class Stopped(Exception):
    """The user ended the command, or another layer failed."""


class FolderReader:
    """Reads the files of a version's folder. After a broken connection, it continues at the offset. Thread-safe."""

    def __init__(self, store: Store, folder: str, stopped: Event) -> None:
        self._store, self._folder, self._stopped = store, folder, stopped
        self._threads = ThreadPoolExecutor(_AHEAD)

    def close(self) -> None:
        """Start no further requests."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def read_ahead(self, file: LayerFile, start: int) -> Future[bytes]:
        """The content of a small file from an offset, which a thread reads."""
        return self._threads.submit(b"".join, self.read(file, start))

    def read(self, file: LayerFile, start: int = 0) -> Iterator[bytes]:
        """The content of a file from an offset, in chunks. Raises CatalogError, and Stopped."""
        key, offset, failures = f"{self._folder}/{file.path}", start, 0
        while offset < file.size:
            before = offset
            try:
                for chunk in self._store.stream(key, offset, file.size - 1, "" if file.sha256 else file.etag):
                    if self._stopped.is_set():
                        raise Stopped
                    offset += len(chunk)
                    yield chunk
                if offset < file.size:
                    raise CatalogError(f"{self._store.uri(key)} has {offset} bytes, not {file.size}: it was replaced")
            except Unreachable:
                failures = 1 if offset > before else failures + 1
                if failures == _ATTEMPTS:
                    raise
                if self._stopped.wait(pause(failures)):
                    raise Stopped from None


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row. Random, so that clients do not return all at once."""
    longest = min(0.2 * 2.0**failures, _LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter


class LayerStream:
    """One layer. Bytes that are produced again, after a failure, are not hashed again."""

    def __init__(self, files: Sequence[LayerFile], reader: FolderReader) -> None:
        self.size = size_of(files)
        self.hashed = 0
        """The number of bytes that were produced so far."""
        self._files, self._reader = files, reader
        self._hash, self._file_hash = hashlib.sha256(), hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest of the layer. All of its bytes must have been produced."""
        assert self.hashed == self.size  # noqa: S101
        return f"sha256:{self._hash.hexdigest()}"

    def chunks(self, start: int) -> Generator[bytes]:
        """The bytes from an offset, which is at most `hashed`. Raises CatalogError, also for a file with other content.

        A wrong file is found before its last bytes are produced.
        """
        pieces = bytearray()
        for chunk in self._chunks(start):
            if pieces and len(pieces) + len(chunk) > _PIECE:
                yield bytes(pieces)
                pieces.clear()
            if len(chunk) == _PIECE:
                yield chunk
            else:
                pieces += chunk
        if pieces:
            yield bytes(pieces)

    def _chunks(self, start: int) -> Iterator[bytes]:
        contents = self._contents(start)
        for part in parts(self._files):
            end = part.offset + (part.file.size if part.file else len(part.content))
            if end <= start:
                continue
            offset = max(part.offset, start)
            if part.file is None:
                chunk = part.content[offset - part.offset :]
                self._hash.update(self._fresh(chunk, offset))
                yield chunk
                continue
            if self.hashed <= part.offset:
                self._file_hash = hashlib.sha256()
            for chunk in next(contents) if part.file.size else ():
                fresh = self._fresh(chunk, offset)
                self._hash.update(fresh)
                self._file_hash.update(fresh)
                offset += len(chunk)
                if offset == end == self.hashed:
                    self._check(part.file)
                yield chunk

    def _contents(self, start: int) -> Iterator[Iterator[bytes]]:
        """The contents of the files that do not end before `start`."""
        ahead: deque[Future[bytes] | Iterator[bytes]] = deque()
        for part in parts(self._files):
            if part.file is None or part.offset + part.file.size <= start or not part.file.size:
                continue
            read = self._reader.read_ahead if part.file.size <= _SMALL else self._reader.read
            ahead.append(read(part.file, max(start - part.offset, 0)))
            if len(ahead) == _AHEAD:
                yield _opened(ahead.popleft())
        yield from map(_opened, ahead)

    def _fresh(self, chunk: bytes, offset: int) -> memoryview:
        """The part of a chunk that was not produced before."""
        fresh = memoryview(chunk)[max(self.hashed - offset, 0) :]
        self.hashed += len(fresh)
        return fresh

    def _check(self, file: LayerFile) -> None:
        if file.sha256 and self._file_hash.hexdigest() != file.sha256:
            raise CatalogError(f"{file.path} is corrupt: its sha256 differs from the manifest; publish a new version")


def _opened(content: Future[bytes] | Iterator[bytes]) -> Iterator[bytes]:
    return iter((content.result(),)) if isinstance(content, Future) else content
