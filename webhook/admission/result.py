"""The result of a decision."""

from typing import Literal, TypeAlias

import msgspec

from webhook.annotations.injected import InjectedModel
from webhook.kubernetes.patch import Operation

Decision: TypeAlias = Literal["injected", "pinned", "unchanged", "skipped", "refused"]


class AdmissionResult(msgspec.Struct, frozen=True):
    """The decision about a pod or a workload."""

    decision: Decision
    reason: str
    """Identifies the kind of decision in metrics and logs: one of a fixed set of words."""
    message: str = ""
    """The message to the author of a refused pod: what is wrong, and what to do. Otherwise empty."""
    operations: tuple[Operation, ...] = ()
    """The JSON Patch."""
    warnings: tuple[str, ...] = ()
    models: tuple[InjectedModel, ...] = ()
    """The injected models, in the order of the request."""
    foretold: tuple[str, ...] = ()
    """Those of a workload's warnings that say that its pods will be refused."""
