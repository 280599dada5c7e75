"""The result of a decision."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.annotations.injected import InjectedModel
from webhook.kubernetes.patch import Operation

Decision: TypeAlias = Literal["injected", "pinned", "unchanged", "skipped", "refused"]
REASONS: Final[Mapping[Decision, Mapping[str, str]]] = {
    "injected": {"Injected": "The pod gets its models."},
    "pinned": {
        "Pinned": "The exact versions are written into the workload's pod template.",
        "Restored": "An update dropped the exact versions, and they are written again, so that no rollout starts.",
        "Followed": "The workload gets the label by which the controller finds workloads that follow a version.",
    },
    "unchanged": {
        "AlreadyInjected": "The pod has everything already: the API server asked again, or the pod is a copy.",
        "NothingToPin": "The workload names exact versions, or has their pins.",
        "TemplateUnchanged": "The update of the workload leaves its pod template as it is.",
        "TooLarge": "The object has more pod templates, or larger ones, than are examined. A warning says so.",
        "WouldBeRefused": "The pods of the workload will be refused. A warning says why.",
    },
    "skipped": {
        "NotAnnotated": "No annotation asks for a model.",
        "OptedOut": "The annotation `inject` is `false`.",
        "ProtectedNamespace": "Pods of this namespace, such as `kube-system`, are never changed.",
        "MirrorPod": "kubelet reports a static pod, which nothing can change.",
        "WindowsPod": "No strategy supports Windows.",
        "NoPods": "The object has no pod template.",
        "NotForUs": "The request is about an object, or an operation, that the webhook does not handle.",
    },
}
"""What the reasons of decisions mean, but of refusals: those are the classes of Refusal."""


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
