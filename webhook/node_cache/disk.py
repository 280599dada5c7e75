"""Files and folders that are there after a crash of the node, and what they take of the disk."""

import contextlib
import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a file to the disk. Its name needs a flush of the folder."""
    with path.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def flush(folder: Path) -> None:
    """Write the names in a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def size_of(folder: str) -> int:
    """What the files below a folder take of the disk, in bytes. What goes meanwhile does not count."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += size_of(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
