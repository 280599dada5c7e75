"""The answer to one AdmissionReview."""

from typing import Literal, TypeAlias

import msgspec

from webhook.annotations.injected import InjectedModel
from webhook.kubernetes.patch import Operation

Decision: TypeAlias = Literal["injected", "pinned", "unchanged", "skipped", "refused"]


class AdmissionResult(msgspec.Struct, frozen=True):
    """What is decided about a pod or a workload."""

    decision: Decision
    reason: str
    """One constant word, for metrics and logs."""
    message: str = ""
    """Why a pod is refused, for the person who wrote it. Empty where it is not."""
    operations: tuple[Operation, ...] = ()
    """The JSON Patch."""
    warnings: tuple[str, ...] = ()
    models: tuple[InjectedModel, ...] = ()
    """What the pod gets for each model that it asks for, in the order of its request."""
