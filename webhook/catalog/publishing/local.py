"""Scanning a local folder that is to be published, and checking the names of its files."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from webhook.catalog.bucket.manifest import MANIFEST, SUMS
from webhook.errors import InvalidInput, shown

_UNSUPPORTED: Final = re.compile(r"[\x00-\x1f\x7f\\*?]|(^|/)\.{1,2}(/|$)|^ | $| /|/ ")
_LONGEST: Final = 512


def scan(folder: Path) -> dict[str, Path]:
    """All files below a folder, by their relative path. Links to files inside the folder are followed.

    Raises InvalidInput for files that cannot be published: other links, special files, empty folders, unusual names.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder")
    files = {}
    root = folder.resolve()
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        check_name(name)
        if name in (MANIFEST, SUMS):
            raise InvalidInput(f"the name {name} is reserved, because publishing writes that file; remove it")
        if path.is_symlink():
            target = path.resolve()
            if not target.is_relative_to(root):
                raise InvalidInput(f"{name} is a link out of the folder, to {target}; copy it in, as `cp -L` does")
            if not target.is_file():
                raise InvalidInput(f"{name} is a link to {target}, which is not a file; remove or replace it")
        elif not path.is_file():
            raise InvalidInput(f"{name} is not a regular file; remove it")
        files[name] = path
    if not files:
        raise InvalidInput(f"{folder} has no files")
    return dict(sorted(files.items()))


def check_name(name: str) -> None:
    """Raise InvalidInput for the path of a file that S3, s5cmd, SHA256SUMS or a file system does not support."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the name {shown(name)} is not UTF-8; rename it") from error
    if _UNSUPPORTED.search(name):
        raise InvalidInput(
            f"the name {shown(name)} cannot be downloaded; rename it, without control characters, \\, * and ?, and "
            "without blanks at the start or the end"
        )
    if size > _LONGEST:
        raise InvalidInput(f"the name {shown(name)} is longer than {_LONGEST} bytes; shorten it")


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=fail):
        parent = Path(root)
        links = [name for name in folders if (parent / name).is_symlink()]
        if links:
            raise InvalidInput(f"{(parent / links[0]).relative_to(folder)} is a link to a folder; copy the folder in")
        if not folders and not files and parent != folder:
            raise InvalidInput(f"{parent.relative_to(folder)} is an empty folder, which S3 cannot store; remove it")
        yield from (parent / name for name in files)
