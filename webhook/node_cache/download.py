"""Downloading a version: its files in parts, several at a time, checked, and on the disk.

A download that was interrupted continues. `parts` in its folder lists what is written, by the index of the file and of
the part; a part is written once, in place. A line that a killed process or a full disk has cut off has no dot at its
end, and does not count. After a crash of the node the list may be ahead of the files, so a download of an earlier boot
begins again, and so does one whose files in S3 have changed since. `state` has the boot, and what S3 had.
"""

import contextlib
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final, Protocol, TypeVar

from webhook.catalog.bucket.errors import CatalogError, Unreachable
from webhook.catalog.bucket.manifest import ManifestFile
from webhook.http.log import FIELDS
from webhook.node_cache.folder import FILES

PART: Final = 32 << 20
_THREADS: Final = 8
_streams: Final = threading.BoundedSemaphore(_THREADS)
"""Of all downloads of the process: a small one does not wait for the end of large ones, and memory stays the same."""
_ATTEMPTS: Final = 5
_LONGEST_PAUSE_SECONDS: Final = 15.0
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_WRITTEN: Final = re.compile(r"^([0-9]+) ([0-9]+)\.$", re.MULTILINE)
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Corrupt(CatalogError):
    """A file differs from the manifest."""


class Abandoned(CatalogError):
    """Another part of the download has failed."""


class Origin(Protocol):
    """Where the files of a version are: in S3, or on another node."""

    def stream(self, path: str, first: int, last: int) -> Iterator[bytes]:
        """The bytes of a file from `first` to `last`. Raises CatalogError."""


class _Target:
    """The bytes of a file that a part fills: from `position` to `end`, which is the first after it."""

    def __init__(self, opened: int, position: int, end: int) -> None:
        self._opened, self.position, self.end = opened, position, end

    @property
    def left(self) -> int:
        return self.end - self.position

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._opened, view, self.position)
            view, self.position = view[written:], self.position + written


class Download:
    """A download into a folder, which no other process writes to meanwhile."""

    def __init__(
        self, folder: Path, files: Sequence[ManifestFile], origins: Sequence[Origin], *, state: str, checks_hashes: bool
    ) -> None:
        """The last of `origins` is S3. Those before are peers, and are asked once for each part; what came from them is
        compared with hashes. `state` is what S3 has: a download continues while that is the same."""
        self._folder, self._files, self._peers, self._origin = folder, files, origins[:-1], origins[-1]
        self._state, self.checks_hashes = state.encode(), checks_hashes
        self._failed = False
        self._counting = threading.Lock()
        self.bytes = 0
        """What is written. Changes while `run` does."""

    @property
    def total(self) -> int:
        """What will be written, in bytes."""
        return sum(file.size for file in self._files)

    def run(self) -> None:
        """Download what is missing, check all files, and write them to the disk. Raises CatalogError and OSError."""
        done, has_peers = self._continued(), self._folder / "peers"
        if self._peers:
            has_peers.touch()
        is_from_peers = has_peers.exists()  # also of a download that was interrupted
        self.checks_hashes |= is_from_peers
        parts = list[tuple[int, int]]()
        for index, file in enumerate(self._files):
            was_there = self._create(file)
            missing = [part for part in range(_parts(file)) if not was_there or (index, part) not in done]
            self.bytes += file.size - sum(_length(file, part) for part in missing)
            parts += ((index, part) for part in missing)
        self._fetch_all(parts)
        wrong = self._differing(range(len(self._files)))
        if wrong and is_from_peers:
            _log.warning("a peer has sent wrong bytes", extra={FIELDS: {"files": self._named(wrong)}})
            self._peers = ()
            self.bytes -= sum(self._files[index].size for index in wrong)
            self._fetch_all((index, part) for index in wrong for part in range(_parts(self._files[index])))
            wrong = self._differing(wrong)
        if wrong:
            (self._folder / "parts").unlink(missing_ok=True)  # the next download begins again
            raise Corrupt(f"{self._named(wrong)} differs from the manifest in size or sha256")

    def _continued(self) -> set[tuple[int, int]]:
        """The parts of the same files that an earlier process has written in this boot."""
        state, known = _BOOT.read_bytes() + self._state, self._folder / "state"
        has_hashes = all(file.sha256 for file in self._files)
        is_usable = has_hashes or not (self._folder / "peers").exists()
        if not is_usable or not known.exists() or known.read_bytes() != state:
            for name in ("parts", "peers"):
                (self._folder / name).unlink(missing_ok=True)
            known.write_bytes(state)
            return set()
        with contextlib.suppress(FileNotFoundError):
            written = _WRITTEN.findall((self._folder / "parts").read_text())
            return {(int(index), int(part)) for index, part in written}
        return set()

    def _fetch_all(self, parts: Iterable[tuple[int, int]]) -> None:
        """Write parts, by the index of the file and of the part."""
        journal = os.open(self._folder / "parts", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._in_threads(lambda part: self._fetch(*part, journal), parts)
        finally:
            os.close(journal)

    def _differing(self, indexes: Iterable[int]) -> list[int]:
        """The files that differ from the manifest, by index. The others are on the disk then."""
        wrong = list[int]()

        def look(index: int) -> None:
            if not self._is_right(self._files[index]):
                wrong.append(index)

        self._in_threads(look, indexes)
        return sorted(wrong)

    def _in_threads(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        """Do some work for each item, until one fails."""
        left, taking = iter(items), threading.Lock()

        def run() -> None:
            while not self._failed:
                with taking:
                    item = next(left, None)
                if item is None:
                    return
                work(item)

        with ThreadPoolExecutor(_THREADS, "download") as threads:
            running = [threads.submit(run) for _ in range(_THREADS)]  # not one task for each: there may be many
            try:
                for each in wait(running, return_when=FIRST_EXCEPTION).done:
                    each.result()
            except BaseException:
                self._failed = True
                raise

    def _is_right(self, file: ManifestFile) -> bool:
        try:
            check(self._path(file), file, checks_hash=self.checks_hashes)
        except Corrupt:
            return False
        except OSError:  # the kernel tells of what it could not write once, and nobody knows which part that was
            (self._folder / "parts").unlink(missing_ok=True)
            raise
        return True

    def _named(self, indexes: Sequence[int]) -> str:
        """The first of some files, by name."""
        more = f" and {len(indexes) - 1} more" if len(indexes) > 1 else ""
        return f"{self._files[indexes[0]].path}{more}"

    def _create(self, file: ManifestFile) -> bool:
        """Create a file of the right size. False if it was not there, so that no part of it can be."""
        path = self._path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            was_there = os.fstat(opened).st_size == file.size
            if not was_there:
                os.ftruncate(opened, file.size)
            if file.size:
                os.posix_fallocate(opened, 0, file.size)  # a full disk is noticed now
        finally:
            os.close(opened)
        return was_there

    def _path(self, file: ManifestFile) -> Path:
        return self._folder / FILES / file.path

    def _fetch(self, index: int, part: int, journal: int) -> None:
        """Write one part. What one origin has sent, the next one need not."""
        file, first = self._files[index], part * PART
        opened = os.open(self._path(file), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            target = _Target(opened, first, first + _length(file, part))
            for peers in self._peers:
                with contextlib.suppress(CatalogError):
                    self._copy(peers, file.path, target)
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._copy(self._origin, file.path, target)
                    break
                except Unreachable:
                    if attempt == _ATTEMPTS:
                        raise
                    self._pause(min(2.0**attempt / 2, _LONGEST_PAUSE_SECONDS))
        finally:
            os.close(opened)
        os.write(journal, f"\n{index} {part}.\n".encode())

    def _copy(self, origin: Origin, path: str, target: _Target) -> None:
        """Write what is missing of a part. Raises CatalogError if it does not come."""
        if not target.left:
            return
        with _streams:
            self._check_failed()
            for chunk in origin.stream(path, target.position, target.end - 1):
                self._check_failed()
                if len(chunk) > target.left:
                    raise Corrupt(f"{path}: the server sent more than was asked for")
                target.write(chunk)
                with self._counting:
                    self.bytes += len(chunk)
        if target.left:
            raise Unreachable(f"{path} ended {target.left} bytes before its end")

    def _check_failed(self) -> None:
        if self._failed:
            raise Abandoned("another part has failed")

    def _pause(self, seconds: float) -> None:
        ended = time.monotonic() + seconds
        while not self._failed and time.monotonic() < ended:
            time.sleep(0.1)


def check(path: Path, file: ManifestFile, *, checks_hash: bool) -> None:
    """Compare a file with the manifest, and write it to the disk. Raises Corrupt, also without a hash, and OSError."""
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
        is_right = os.fstat(opened.fileno()).st_size == file.size
        if is_right and checks_hash:
            is_right = hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    if not is_right:
        raise Corrupt(f"{file.path} differs from the manifest in size or sha256")


def _parts(file: ManifestFile) -> int:
    return -(-file.size // PART)


def _length(file: ManifestFile, part: int) -> int:
    return min(PART, file.size - part * PART)
