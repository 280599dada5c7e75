"""Paths of a container at which kubelet and the container runtime have mounts of their own."""

from typing import Final

_SHM: Final = "/dev/shm"  # noqa: S108 - the name of a mount, not a temporary file
_TOKEN: Final = "/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_OF_EKS: Final = "a webhook of EKS mounts the service account's token below it"
_RESERVED: Final = {
    "/proc": "container runtimes refuse volumes there",
    "/sys": "it contains files of the kernel, and no mount points can be created there",
    "/dev": "it contains the container's devices",
    _TOKEN: "kubelet mounts the service account's token there",
    "/run/secrets/eks.amazonaws.com": _OF_EKS,
    "/run/secrets/pods.eks.amazonaws.com": _OF_EKS,
    "/etc/hosts": "kubelet mounts a file there",
    "/etc/hostname": "the container runtime mounts a file there",
    "/etc/resolv.conf": "the container runtime mounts a file there",
}
"""Folders and files at which, and below which, no volume can be mounted, with the reason."""
_PARENTS: Final = {
    _SHM: "it is the containers' shared memory",
    "/etc": "kubelet and the container runtime mount files there",
    **dict.fromkeys(
        ("/var", "/run", "/run/secrets", "/run/secrets/kubernetes.io"),
        "kubelet mounts the service account's token below it",
    ),
}
"""Folders with mounts of others: a volume may be mounted below them, but not over them."""


def why_reserved(path: str) -> str:
    """Why no volume can be mounted at `path`, as a clause with a subject. Empty if one can."""
    path = _resolved(path)
    if path in _PARENTS:
        return _PARENTS[path]
    if path.startswith(f"{_SHM}/"):
        return ""
    for reserved, reason in _RESERVED.items():
        if path == reserved or path.startswith(f"{reserved}/"):
            return reason
    return ""


def is_parent(path: str) -> bool:
    """Whether volumes can be mounted in the folder `path`, but not at `path` itself."""
    return _resolved(path) in _PARENTS


def _resolved(path: str) -> str:
    """`/var/run` is a link to `/run` in most images."""
    return path.removeprefix("/var") if f"{path}/".startswith("/var/run/") else path
