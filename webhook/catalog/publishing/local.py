"""A folder on this machine that is about to be published, and what names its files may have."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from webhook.catalog.bucket.manifest import MANIFEST, SUMS
from webhook.errors import InvalidInput, shown

_ODD: Final = re.compile(r"[\x00-\x1f\x7f\\*?]|(^|/)\.{1,2}(/|$)|^ | $| /|/ ")
_LONGEST: Final = 512


def scan(folder: Path) -> dict[str, Path]:
    """Every file below a folder, by its path relative to that. Raises InvalidInput for what no bucket can hold so.

    A link is followed where it leads to a file inside the folder.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder")
    found = {}
    root = folder.resolve()
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        check_name(name)
        if name in (MANIFEST, SUMS):
            raise InvalidInput(f"{name} is what publishing itself writes; remove it")
        if path.is_symlink():
            target = path.resolve()
            if not target.is_relative_to(root):
                raise InvalidInput(f"{name} is a link out of the folder, to {target}; copy it in, as `cp -L` does")
            if not target.is_file():
                raise InvalidInput(f"{name} is a link to no file, {target}; remove it, or copy in what it means")
        elif not path.is_file():
            raise InvalidInput(f"{name} is no regular file; remove it")
        found[name] = path
    if not found:
        raise InvalidInput(f"{folder} has no files")
    return dict(sorted(found.items()))


def check_name(name: str) -> None:
    """Raise InvalidInput for the name of a file that not every part of its way can carry."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the name {shown(name)} is no UTF-8; rename it") from error
    if _ODD.search(name):
        raise InvalidInput(
            f"the name {shown(name)} has a sign that downloads can't carry: no control characters, \\, * and ?, and no "
            "blank at an end; rename it"
        )
    if size > _LONGEST:
        raise InvalidInput(f"the name {shown(name)} is longer than {_LONGEST} bytes; shorten it")


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise InvalidInput(f"{error.filename} can't be read: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=fail):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        if links:
            raise InvalidInput(f"{(here / links[0]).relative_to(folder)} is a link to a folder; copy the folder in")
        if not folders and not files and here != folder:
            raise InvalidInput(f"{here.relative_to(folder)} is an empty folder, which S3 can't hold; remove it")
        yield from (here / name for name in files)
