"""Why a volume is not mounted: the reasons, of which kubelet shows one at the beginning of an event."""

from collections.abc import Mapping
from typing import Final

from grpclib.const import Status

from webhook.errors import InjectorError

MEANINGS: Final[Mapping[str, str]] = {
    "NotReady": "The download goes on, or the cache is about to be ready. kubelet asks again.",
    "NotFound": "S3 has no such bucket or version.",
    "Unauthorized": "There are no credentials, or S3 or a rule of the settings denies them the version.",
    "OutOfSpace": "The version does not fit: what the cache may hold is mounted, or the disk of the node is full.",
    "Corrupt": "Files differ from the manifest, were overwritten, or cannot be checked: they have no hash although "
    "`verify: sha256` needs one, or neither a manifest nor ETags.",
    "Incomplete": "The version has something that cannot be downloaded: an invalid path, or too many files.",
    "Unreachable": "S3, the worker or the folder of the cache does not answer.",
    "InvalidArgument": "The volume of the pod has an attribute that is missing or invalid.",
}
"""What each reason means."""
REASONS: Final[Mapping[str, Status]] = {
    "NotReady": Status.ABORTED,
    "NotFound": Status.NOT_FOUND,
    "Unauthorized": Status.PERMISSION_DENIED,
    "OutOfSpace": Status.RESOURCE_EXHAUSTED,
    "Corrupt": Status.DATA_LOSS,
    "Incomplete": Status.FAILED_PRECONDITION,
    "Unreachable": Status.UNAVAILABLE,
    "InvalidArgument": Status.INVALID_ARGUMENT,
}
"""The status of gRPC by reason. Most are also the reasons of init containers."""


class Refused(InjectorError):
    """A request failed. `reason` is one of REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
