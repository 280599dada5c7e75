"""Mounts that only one program sees, as a container's volumes are.

Each function gives the start of a command line, to stand before the program's own. It makes namespaces of its own for
users and mounts, so it needs no privilege where the kernel lets users do that.
"""

import shlex
from pathlib import Path

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
    return (tools, "unshare", "--map-root-user", "--mount", tools, "sh", "-c", script, "mounts")
