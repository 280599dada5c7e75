"""The events that the controller writes: what each reason means."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

EventReason: TypeAlias = Literal[
    "Ready",
    "Failed",
    "Outdated",
    "Unpublished",
    "Withdrawn",
    "Expired",
    "Downloading",
    "Downloaded",
    "DownloadFailed",
    "ModelWithdrawn",
    "RolloutStarted",
    "RolloutDone",
    "RolloutUndone",
    "RolloutBlocked",
]


class Described(msgspec.Struct, frozen=True):
    """What an event says."""

    about: str
    """The kind of object that has it."""
    type: str
    meaning: str


_CLAIM, _POD, _WORKLOAD = "PersistentVolumeClaim", "Pod", "workload"
DESCRIBED: Final[Mapping[EventReason, Described]] = {
    "Ready": Described(_CLAIM, "Normal", "The volume has the whole version, and pods may mount it."),
    "Failed": Described(_CLAIM, "Warning", "The Job that loads the version has failed."),
    "Outdated": Described(_CLAIM, "Warning", "The version was published again with other files."),
    "Unpublished": Described(_CLAIM, "Warning", "The catalog has the version no longer; no new pod gets it."),
    "Withdrawn": Described(_CLAIM, "Warning", "The version was withdrawn; no new pod gets it."),
    "Expired": Described(_CLAIM, "Normal", "Nothing uses the claim: it is removed at the time in the message."),
    "Downloading": Described(_POD, "Normal", "How far the download of the init container is, at most once a minute."),
    "Downloaded": Described(_POD, "Normal", "The size and the duration of a download that has ended."),
    "DownloadFailed": Described(_POD, "Warning", "The reason and the message of the init container."),
    "ModelWithdrawn": Described(_POD, "Warning", "The pod runs a version that was withdrawn."),
    "RolloutStarted": Described(_WORKLOAD, "Normal", "A new version rolls out, because the reference means it now."),
    "RolloutDone": Described(_WORKLOAD, "Normal", "All pods have the new version and are available."),
    "RolloutUndone": Described(
        _WORKLOAD,
        "Warning, or Normal if somebody set it back",
        "The workload has the earlier version again: the new one did not become available, or was set back.",
    ),
    "RolloutBlocked": Described(_WORKLOAD, "Warning", "The workload asks to follow a version and cannot."),
}
