"""Why a volume is not mounted: the reasons, of which kubelet shows one at the beginning of an event."""

from collections.abc import Mapping
from typing import Final

from grpclib.const import Status

from webhook.errors import InjectorError

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
