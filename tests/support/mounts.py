"""Mounts that only one program sees, as a container's volumes are.

Each function gives the start of a command line, to stand before the program's own. It makes a mount namespace of its
own: as root, or in a user namespace where the kernel lets users have those. Where it lets neither, as in many
containers, the test that needs it is skipped, and says so.
"""

import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.programs import busybox


def tmpfs(target: Path, options: str) -> tuple[str, ...]:
    """A file system in memory at `target`; `options` as of mount(8), such as `size=1m`."""
    return _mounting(f"-t tmpfs -o {options} tmpfs {shlex.quote(str(target))}")


def bind(source: Path, target: Path) -> tuple[str, ...]:
    """The folder `source` at `target`."""
    return _mounting(_bind(source, target))


def read_only_root(*writable: Path) -> tuple[str, ...]:
    """Nothing of the root file system can be written, but for these folders: `readOnlyRootFilesystem`."""
    return _mounting(*(_bind(folder, folder) for folder in writable), "-o remount,bind,ro /")


def _bind(source: Path, target: Path) -> str:
    return f"-o bind {shlex.quote(str(source))} {shlex.quote(str(target))}"


def _mounting(*mounts: str) -> tuple[str, ...]:
    tools = str(busybox())
    script = "".join(f"{tools} mount {mount} && " for mount in mounts) + 'exec "$@"'
    return (tools, "unshare", *_namespaces(), tools, "sh", "-c", script, "mounts")


@cache
def _namespaces() -> tuple[str, ...]:
    for options in (("--mount",), ("--map-root-user", "--mount")):
        if subprocess.run([busybox(), "unshare", *options, "true"], capture_output=True, check=False).returncode == 0:
            return options
    pytest.skip("this machine lets us have no mounts of our own: run as root, or allow user namespaces")
