"""Events about pods that run a withdrawn version, by a pure function of the uses and of what is withdrawn."""

from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from webhook.catalog.resolution import VersionKey
from webhook.controller.steps import PODS, Emit, ObjectRef
from webhook.errors import one_line
from webhook.kubernetes.names import short_hash
from webhook.usage.uses import Usage, Use, withdrawn_reason

_LONGEST_NAME: Final = 200
UseKey: TypeAlias = tuple[str, str]
"""The UID of a pod, and the model and version that it runs."""


def events(usage: Usage, withdrawn: Mapping[VersionKey, str], told: Collection[UseKey]) -> dict[UseKey, Emit | None]:
    """The event about each pod that runs a withdrawn version. None for one that was told already.

    `withdrawn`: the reasons by version. An event is named after its pod and version, so that it is written only once.
    """
    found = dict[UseKey, Emit | None]()
    for use in usage.uses:
        reason = withdrawn_reason(use.used, withdrawn) if use.state == "running" else None
        if reason is not None:
            key = use.uid, f"{use.used.model} {use.used.version}"
            found[key] = None if key in told else _event(use, key, reason)
    return found


def _event(use: Use, key: UseKey, reason: str) -> Emit:
    pod = ObjectRef(PODS, use.workload.namespace, use.pod, use.uid, "")
    name = f"{use.pod[:_LONGEST_NAME].rstrip('.-')}.{short_hash(' '.join(key))}"
    workload = f"{use.workload.kind} {use.workload.name}"
    message = f"{key[1]} is withdrawn: {reason}; new pods of {workload} with this version are refused"
    return Emit(pod, "Warning", "ModelWithdrawn", one_line(message), name)
