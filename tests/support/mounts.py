"""Mounts that only one program sees, as a container's volumes are.

Each function gives the start of a command line, to stand before the program's own. It makes namespaces of its own for
users and mounts, so it needs no privilege where the kernel lets users do that.
"""

from pathlib import Path

from tests.support.programs import busybox


def tmpfs(target: Path, options: str) -> tuple[str, ...]:
    """A file system in memory at `target`; `options` as of mount(8), such as `size=1m`."""
    return _mounting("tmpfs", options, "tmpfs", str(target))


def bind(source: Path, target: Path) -> tuple[str, ...]:
    """The folder `source` at `target`."""
    return _mounting("none", "bind", str(source), str(target))


def _mounting(kind: str, options: str, source: str, target: str) -> tuple[str, ...]:
    tools = str(busybox())
    script = '"$0" mount -t "$1" -o "$2" "$3" "$4" && shift 4 && exec "$@"'
    namespaces = (tools, "unshare", "--map-root-user", "--mount")
    return (*namespaces, tools, "sh", "-c", script, tools, kind, options, source, target)
