"""The cache's folder on the node: the versions that it has, and downloads under way.

    versions/KEY/files/       the files of a version, as pods mount them
    versions/KEY/marker.json  what they are
    volumes/NAME              what a pod asked for whose volume is mounted
    partial/KEY/              a download under way: files/, and what it needs to continue
    removed/NAME/             what is being deleted
    locks/KEY                 locked while the version is downloaded, mounted or removed; goes with it

A version is written below `partial`, its files first and the marker last, flushed to the disk, and then moved to
`versions` by one rename. So a version that has a marker is complete, whenever the process or the node stopped.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import Final

import msgspec

from webhook.errors import InjectorError
from webhook.node_cache.disk import flush, size_of, write
from webhook.node_cache.entry import KEY_LENGTH, Entry, Marker, MountedVolume, is_key
from webhook.node_cache.mounts import mounted_versions

_MARKER: Final = "marker.json"
FILES: Final = "files"
_NEW: Final = ".new"
"""The suffix of what is being written, in the folder of what it replaces."""
_FOLDERS: Final = ("versions", "volumes", "partial", "removed", "locks")
_LARGEST: Final = 64 * 1024
"""Bytes of a marker, and of a record."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file of the owner is opened: it may be anything, and must neither lead elsewhere nor block."""
_markers: Final = msgspec.json.Decoder(Marker)


class FolderLost(InjectorError):
    """The folder was deleted while the process had it open. A new process can create it again."""


class CacheFolder:
    """The folder. Methods block, and raise OSError if the disk does not do what it should."""

    def __init__(self, root: Path, owner: int | None = None) -> None:
        """Create what is missing.

        `owner` is the user who writes the cache, by number; None: this process. A process of root acts as the owner
        here, so that no link or name which the owner has put there leads it to what the owner may not touch.
        """
        self.root, self._owner = root, owner
        root.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            os.chown(root, owner, owner, follow_symlinks=False)
        root.chmod(0o700)
        with self._as_owner():
            for name in _FOLDERS:
                (root / name).mkdir(exist_ok=True)
            self._opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @contextmanager
    def _as_owner(self) -> Iterator[None]:
        """Act as the owner. The process must have no threads if it has another user."""
        if self._owner is None:
            yield
            return
        user = os.geteuid()
        os.seteuid(self._owner)
        try:
            yield
        finally:
            os.seteuid(user)

    def check(self) -> None:
        """Create again what somebody deleted below the root. Raises FolderLost if it was the root itself."""
        if not os.fstat(self._opened).st_nlink:
            raise FolderLost(f"{self.root} was deleted")
        with self._as_owner():
            for name in _FOLDERS:
                (self.root / name).mkdir(exist_ok=True)

    def entries(self) -> dict[str, Entry]:
        """The complete versions, by key."""
        with self._as_owner():
            found = map(self._entry, filter(is_key, os.listdir(self.root / "versions")))  # noqa: PTH208 - fast
            return {entry.key: entry for entry in found if entry}

    def find(self, key: str) -> Entry | None:
        """A version, if it is complete."""
        with self._as_owner():
            return self._entry(key)

    def _entry(self, key: str) -> Entry | None:
        folder = f"{self.root}/versions/{key}"  # no Path: there may be thousands of versions
        try:
            opened = os.open(f"{folder}/{_MARKER}", _READ)
            try:
                marker, used_at = _markers.decode(os.read(opened, _LARGEST)), os.fstat(opened).st_mtime
            finally:
                os.close(opened)
            is_complete = S_ISDIR(os.lstat(f"{folder}/{FILES}").st_mode)
        except (OSError, msgspec.MsgspecError, ValueError):
            return None
        return Entry(key, marker, Path(folder, FILES), used_at) if is_complete else None

    @contextmanager
    def opened(self, key: str) -> Iterator[int]:
        """The folder with the files of a version, open. Raises OSError, also if a link is in the way.

        The driver mounts what a process with fewer rights has written: that must not lead it anywhere else.
        """
        with ExitStack() as stack:
            folder = -1
            for name in (str(self.root), "versions", key, FILES):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                folder = os.open(name, flags, dir_fd=None if folder < 0 else folder)
                stack.callback(os.close, folder)
            yield folder

    def touch(self, key: str) -> None:
        """Note that a version is mounted now."""
        with self._as_owner():
            os.utime(self.root / "versions" / key / _MARKER)

    def record(self, volume: MountedVolume) -> None:
        """Remember what a pod asked for, until `forget`."""
        path = self._record_of(volume.target)
        with self._as_owner():
            path.with_suffix(_NEW).write_bytes(msgspec.json.encode(volume))
            path.with_suffix(_NEW).replace(path)

    def forget(self, target: str) -> None:
        """A volume is unmounted."""
        with self._as_owner():
            for path in (self._record_of(target), self._record_of(target).with_suffix(_NEW)):
                path.unlink(missing_ok=True)

    def recorded(self) -> list[MountedVolume]:
        """What was recorded and not forgotten."""
        found = []
        with self._as_owner():
            for path in (self.root / "volumes").iterdir():
                if path.suffix == _NEW:
                    continue
                try:
                    with os.fdopen(os.open(path, _READ), "rb") as file:
                        found.append(msgspec.json.decode(file.read(_LARGEST), type=MountedVolume))
                except (OSError, msgspec.MsgspecError, ValueError):
                    continue
        return found

    def _record_of(self, target: str) -> Path:
        return self.root / "volumes" / hashlib.sha256(target.encode()).hexdigest()[:KEY_LENGTH]

    @contextmanager
    def lock(self, key: str, *, is_shared: bool, waits: bool) -> Iterator[bool]:
        """Lock a version against other processes: shared to mount it, exclusively to download or remove it.

        Yields False if another process has it and this one does not wait.
        """
        while True:
            with self._as_owner():
                opened = os.open(self.root / "locks" / key, _READ | os.O_CREAT, 0o644)
            try:
                kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
                try:
                    fcntl.flock(opened, kind if waits else kind | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield False
                    return
                if os.fstat(opened).st_nlink:  # otherwise who had it has deleted it, and the next one has another
                    yield True
                    return
            finally:
                os.close(opened)

    def delete_lock(self, key: str) -> None:
        """Delete the lock of a version that is gone, as the last thing that is done under the exclusive lock."""
        with self._as_owner():
            (self.root / "locks" / key).unlink(missing_ok=True)

    def partial(self, key: str) -> Path:
        """The folder of a download, which needs the exclusive lock. It has what an earlier one has left."""
        folder = self.root / "partial" / key
        (folder / FILES).mkdir(parents=True, exist_ok=True)
        return folder

    def finish(self, key: str, marker: Marker) -> None:
        """A download is complete. Its files must be on the disk, and it needs the exclusive lock."""
        folder, target = self.root / "partial" / key, self.root / "versions" / key
        for path, _, _ in os.walk(folder / FILES, topdown=False):
            flush(Path(path))
        write(folder / _MARKER, msgspec.json.encode(marker))
        flush(folder)
        if target.exists():  # without a valid marker
            if mounted_versions(self.root)[key]:
                raise FileExistsError(f"{target} has no valid marker, and pods mount it: delete them")
            self._discard(target)
        folder.rename(target)
        for parent in (target.parent, folder.parent):
            flush(parent)
        for each in target.iterdir():
            if each.name not in (_MARKER, FILES):  # what a download needed to continue, until here
                each.unlink()

    def rewrite(self, key: str, marker: Marker) -> None:
        """Replace the marker of a complete version, which needs the exclusive lock."""
        folder = self.root / "versions" / key
        write(folder / f"{_MARKER}{_NEW}", msgspec.json.encode(marker))
        (folder / f"{_MARKER}{_NEW}").replace(folder / _MARKER)
        flush(folder)

    def remove(self, key: str) -> None:
        """Remove a version, which needs the exclusive lock."""
        self._discard(self.root / "versions" / key)

    def drop_partial(self, key: str) -> None:
        """Give up a download, which needs the exclusive lock."""
        self._discard(self.root / "partial" / key)

    def _discard(self, folder: Path) -> None:
        """Delete a folder, which is gone from its place at once."""
        waste = self.root / "removed" / f"{folder.name}-{os.urandom(8).hex()}"
        try:
            folder.rename(waste)
        except FileNotFoundError:
            return
        shutil.rmtree(waste, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what processes that were killed have left, except for downloads, which continue when asked for."""
        mounted = mounted_versions(self.root)
        with self._as_owner():
            for waste in (self.root / "removed").iterdir():
                shutil.rmtree(waste, ignore_errors=True)
            for folder in (self.root / "versions").iterdir():
                if self.find(folder.name) is None and not mounted[folder.name]:
                    with self.lock(folder.name, is_shared=False, waits=False) as is_mine:
                        if is_mine and self.find(folder.name) is None:
                            self._discard(folder)
            for name in os.listdir(self.root / "locks"):  # noqa: PTH208 - fast
                if not self._is_known(name):
                    with self.lock(name, is_shared=False, waits=False) as is_mine:
                        if is_mine and not self._is_known(name):
                            self.delete_lock(name)

    def _is_known(self, key: str) -> bool:
        return any((self.root / parent / key).exists() for parent in ("versions", "partial"))

    def partial_bytes(self) -> dict[str, int]:
        """What downloads have on the disk, by key."""
        with self._as_owner(), os.scandir(self.root / "partial") as entries:
            folders = (each for each in entries if is_key(each.name) and each.is_dir(follow_symlinks=False))
            return {each.name: size_of(each.path) for each in folders}
