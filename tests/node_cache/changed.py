"""The driver with other constants, or killed at a point: `python -m tests.node_cache.changed CHANGES COMMAND...`."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from webhook.cli import main
from webhook.node_cache import download, mounts
from webhook.node_cache.folder import CacheFolder


class Point(NamedTuple):
    """A call of a function, before or after which the driver and its worker are killed."""

    owner: Any
    name: str
    is_after: bool
    is_meant: Callable[..., bool] = lambda *_: True
    """Gets the arguments: whether it is this call."""


def _is_record_of_part(_: int, content: bytes) -> bool:
    return content.endswith(b".\n")


def _is_into_versions(_: Path, target: Path) -> bool:
    return target.parent.name == "versions"


POINTS = {
    "when a part is written": Point(os, "write", True, _is_record_of_part),
    "before the files are checked": Point(download, "check", False),
    "before the marker is written": Point(CacheFolder, "finish", False),
    "before the version is moved to its place": Point(Path, "rename", False, _is_into_versions),
    "when the version is in its place": Point(Path, "rename", True, _is_into_versions),
    "before the mount": Point(mounts, "bind", False),
    "after the mount": Point(mounts, "bind", True),
    "before the answer": Point(CacheFolder, "record", True),
}


class Changes(msgspec.Struct, frozen=True):
    """What is different."""

    constants: dict[str, int] = {}
    """Values of constants of webhook.node_cache, such as `download.PART`."""
    killed: str = ""
    """One of POINTS."""

    def __bool__(self) -> bool:
        return bool(self.constants or self.killed)

    def encode(self) -> str:
        """As `main` reads it."""
        return msgspec.json.encode(self).decode()

    def make(self) -> None:
        """Change this process, and those that it forks."""
        for name, value in self.constants.items():
            module, _, constant = name.partition(".")
            setattr(import_module(f"webhook.node_cache.{module}"), constant, value)
        if self.killed:
            _kill_at(POINTS[self.killed])


NONE = Changes()


def _kill_at(point: Point) -> None:
    """Kill all processes of the group, which are the driver and its worker, at a point."""
    original = getattr(point.owner, point.name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if not point.is_meant(*arguments):
            return original(*arguments, **named)
        result = original(*arguments, **named) if point.is_after else None
        os.killpg(0, signal.SIGKILL)
        return result

    setattr(point.owner, point.name, wrapped)


if __name__ == "__main__":
    msgspec.json.decode(sys.argv[1], type=Changes).make()
    sys.exit(main(sys.argv[2:]))
