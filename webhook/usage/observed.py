"""What was read from the cluster: the parts of pods and workloads that tell which versions they use."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec


class Workload(NamedTuple):
    """A workload, or a pod without one."""

    namespace: str
    kind: str
    name: str


class Claim(NamedTuple):
    """A PersistentVolumeClaim."""

    namespace: str
    name: str


class Problem(NamedTuple):
    """An object that could not be read, so that uses may be missing."""

    namespace: str
    """Its namespace; empty if it has none. Pods of any namespace may belong to it then."""
    text: str
    """What could not be read, in words."""

    def may_hide_uses_in(self, namespace: str) -> bool:
        """Whether pods of this namespace may use what is not known."""
        return self.namespace in ("", namespace)


class ObservedPod(msgspec.Struct, frozen=True, gc=False):
    """A pod that has not finished, and has the annotation `injected`."""

    identity: Workload
    owner: Workload | None
    """Its controller."""
    injected: str
    since: datetime | None
    """When kubelet accepted it, else when it was created."""
    uid: str = ""


class ObservedTemplate(msgspec.Struct, frozen=True):
    """A pod template with annotations of models."""

    identity: Workload
    """The object that has the template."""
    owner: Workload | None
    """Its controller, such as the Deployment of a ReplicaSet."""
    annotations: Mapping[str, str]
    """Those under the prefix."""
    is_history: bool = False
    """Whether it is kept for a rollback."""
    since: datetime | None = None
    """When the template was written. None if it can have changed since its object was created."""


class Observed(NamedTuple):
    """One reading of the cluster."""

    pods: tuple[ObservedPod, ...] = ()
    templates: tuple[ObservedTemplate, ...] = ()
    mounted: frozenset[Claim] = frozenset()
    """The claims of all pods that have not finished, with a model or without."""
    problems: tuple[Problem, ...] = ()
