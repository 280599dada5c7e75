"""What the controller does to the cluster. Each step is safe to repeat, and fails if the object has changed since."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.controller.events import EventReason
from webhook.controller.observed import Observed
from webhook.kubernetes.patch import JSON


class Resource(msgspec.Struct, frozen=True):
    """A resource of the API."""

    api_version: str
    kind: str
    plural: str
    is_namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """The path of the collection, or of one object."""
        root = "/apis" if "/" in self.api_version else "/api"
        parts = [root, self.api_version]
        if self.is_namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/".join([*parts, self.plural, *([name] if name else [])])


CLAIMS: Final = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
VOLUMES: Final = Resource("v1", "PersistentVolume", "persistentvolumes", is_namespaced=False)
JOBS: Final = Resource("batch/v1", "Job", "jobs")
REFERENCES: Final = Resource("trident.netapp.io/v1", "TridentVolumeReference", "tridentvolumereferences")
NAMESPACES: Final = Resource("v1", "Namespace", "namespaces", is_namespaced=False)
PODS: Final = Resource("v1", "Pod", "pods")
EVENTS: Final = Resource("v1", "Event", "events")
DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments")
STATEFUL_SETS: Final = Resource("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SETS: Final = Resource("apps/v1", "DaemonSet", "daemonsets")
ARGO_ROLLOUTS: Final = Resource("argoproj.io/v1alpha1", "Rollout", "rollouts")
RESOURCES: Final[Mapping[str, Resource]] = {
    each.kind: each
    for each in (
        *(CLAIMS, VOLUMES, JOBS, REFERENCES, NAMESPACES, EVENTS),
        *(DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, ARGO_ROLLOUTS),
    )
}
"""By kind."""


class ObjectRef(msgspec.Struct, frozen=True):
    """An object that was observed."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    resource_version: str


class Create(msgspec.Struct, frozen=True):
    """Create an object. One that exists already is left as it is."""

    object: JSON

    @property
    def target(self) -> tuple[str, str, str]:
        """The kind, namespace and name of what it changes."""
        metadata = self.object["metadata"]
        return self.object["kind"], metadata.get("namespace", ""), metadata["name"]


class Label(msgspec.Struct, frozen=True):
    """Set the labels and annotations that the controller manages, by server-side apply."""

    of: ObjectRef
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def target(self) -> tuple[str, str, str]:
        """The kind, namespace and name of what it changes."""
        return self.of.resource.kind, self.of.namespace, self.of.name


class Delete(msgspec.Struct, frozen=True):
    """Delete an object, unless it has changed since it was observed."""

    of: ObjectRef
    reason: str

    @property
    def target(self) -> tuple[str, str, str]:
        """The kind, namespace and name of what it changes."""
        return self.of.resource.kind, self.of.namespace, self.of.name


class Rewrite(msgspec.Struct, frozen=True):
    """Set annotations and labels of a workload, and annotations of its pod template, which starts a rollout. None
    removes one."""

    of: ObjectRef
    annotations: Mapping[str, str | None] = {}
    template_annotations: Mapping[str, str | None] = {}
    labels: Mapping[str, str | None] = {}

    @property
    def target(self) -> tuple[str, str, str]:
        """The kind, namespace and name of what it changes."""
        return self.of.resource.kind, self.of.namespace, self.of.name


class Emit(msgspec.Struct, frozen=True):
    """Write an event about an object."""

    of: ObjectRef
    type: Literal["Normal", "Warning"]
    reason: EventReason
    message: str
    name: str = ""
    """The name of the event, for one that is written again with another message. Empty: a new event."""
    since: str = ""
    """When the first of `count` events of this name was written, in RFC 3339. Empty: now."""
    count: int = 1

    @property
    def target(self) -> tuple[str, str, str]:
        """The kind, namespace and name of what it changes."""
        return "Event", self.of.namespace, self.name or f"{self.of.name}.{self.reason}"


Step: TypeAlias = Create | Label | Delete | Rewrite | Emit


def ref_of(resource: Resource, known: Observed) -> ObjectRef:
    """A reference to an object as it was observed."""
    metadata = known.metadata
    return ObjectRef(resource, metadata.namespace, metadata.name, metadata.uid, metadata.resource_version)
