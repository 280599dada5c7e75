"""Bind mounts, by system calls: the image has no mount program."""

import ctypes
import errno
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""The numbers of the system calls, which are the same on all architectures."""
_HERE: Final = -100
"""AT_FDCWD: paths are not relative to an open folder."""
_CLONE, _CLOSE_ON_EXEC, _EMPTY_PATH, _FROM_EMPTY_PATH = 1, os.O_CLOEXEC, 0x1000, 4
_READ_ONLY, _NO_SUID, _NO_DEVICES = 1, 2, 4
_NO_FOLLOW: Final = 8
_TABLE: Final = Path("/proc/self/mountinfo")
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_VERSION: Final = re.compile(r"/versions/([0-9a-f]+)/files(//deleted)?")
"""What is mounted of a version, below the cache's folder, as the kernel names it."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


class Mount(NamedTuple):
    """A mount point."""

    device: str
    """The file system, as major and minor number."""
    root: str
    """What of its file system is mounted, as a path in that."""


def mounts() -> Mapping[str, Mount]:
    """All mount points of this process's namespace, by path. Of several on one path, the upper one."""
    found = {}
    for line in _TABLE.read_bytes().splitlines():
        _, _, device, root, path, *_ = line.split(b" ")
        found[_plain(path)] = Mount(device.decode(), _plain(root))
    return found


def place_of(folder: Path, table: Mapping[str, Mount]) -> Mount:
    """Where a folder is: its file system, and its path in that."""
    above = next(each for each in (folder, *folder.parents) if str(each) in table)
    mount = table[str(above)]
    return Mount(mount.device, str(Path(mount.root) / folder.relative_to(above)))


def _plain(path: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), path))


def mounted_versions(folder: Path) -> Counter[str]:
    """How often each version of the cache in a folder is mounted, by its key."""
    table = mounts()
    place = place_of(folder, table)
    return Counter(filter(None, (version_of(each, place) for each in table.values())))


def version_of(mounted: Mount, place: Mount) -> str | None:
    """The key of the version that is mounted from the cache at `place`; None for other mounts."""
    root = place.root.rstrip("/")  # empty if the cache has a disk of its own
    if mounted.device != place.device or not mounted.root.startswith(f"{root}/"):
        return None
    found = _VERSION.fullmatch(mounted.root[len(root) :])
    return found[1] if found else None


def bind(source: int, target: Path) -> None:
    """Mount an open folder at a path, read-only from the start. Raises OSError. Needs Linux 5.12.

    A bind mount that is made read-only later stays writable on the host, to which it was passed on before.
    """
    tree = _call("open_tree", _OPEN_TREE, source, b"", _CLONE | _CLOSE_ON_EXEC | _EMPTY_PATH)
    try:
        attributes = _Attributes(set=_READ_ONLY | _NO_SUID | _NO_DEVICES)
        size = ctypes.sizeof(attributes)
        _call("mount_setattr", _MOUNT_SETATTR, tree, b"", _EMPTY_PATH, ctypes.byref(attributes), size)
        _call("move_mount", _MOVE_MOUNT, tree, b"", _HERE, os.fsencode(target), _FROM_EMPTY_PATH)
    finally:
        os.close(tree)


def unmount(target: Path) -> bool:
    """Unmount the upper mount of a path. False if nothing is mounted there. Raises OSError."""
    if _libc.umount2(os.fsencode(target), _NO_FOLLOW) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOENT):
        return False
    raise OSError(number, f"umount2: {os.strerror(number)}")


def _call(name: str, number: int, *arguments: Any) -> int:
    """Make a system call that libc may have no function for. Raises OSError."""
    typed = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result: int = _libc.syscall(ctypes.c_long(number), *typed)
    if result < 0:
        error = ctypes.get_errno()
        hint = ", which needs Linux 5.12 or later" if error == errno.ENOSYS else ""
        raise OSError(error, f"{name}: {os.strerror(error)}{hint}")
    return result
