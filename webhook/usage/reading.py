"""Reads from the API server which pods and templates use models, and which claims pods mount."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from webhook.annotations.contract import INJECTED
from webhook.kubernetes.client import KubernetesClient
from webhook.kubernetes.decoding import InvalidObject
from webhook.kubernetes.paging import ListReader, Page
from webhook.kubernetes.templates import templates
from webhook.kubernetes.unstructured import ObjectTooLarge, Unstructured
from webhook.settings import Settings
from webhook.settings.admission import WorkloadKind
from webhook.usage.observed import Claim, Observed, ObservedPod, ObservedTemplate, Problem, Workload
from webhook.usage.uses import Usage, usage

_MOST_PAGES: Final = 200
"""The maximum number of pages of each list: 100,000 objects. More are an error: uses would be missing."""
_SECONDS: Final = 300
"""The maximum duration of a reading."""
_REMEDY: Final = "docs/usage.md has the rights that are needed"
_NULL: Final = msgspec.Raw(b"null")
_FINISHED: Final = ("Succeeded", "Failed")
_ROLLOUT: Final = WorkloadKind(group="argoproj.io", version="v1alpha1", resource="rollouts")
_WORKLOADS: Final = (
    ("apps", "deployments", "Deployment"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "replicasets", "ReplicaSet"),
    ("apps", "controllerrevisions", "ControllerRevision"),
    ("batch", "cronjobs", "CronJob"),
    ("batch", "jobs", "Job"),
)
_CHANGEABLE: Final = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")
"""Kinds whose template can have changed since the object was created."""


class _Owner(msgspec.Struct, frozen=True):
    kind: str
    name: str
    controller: bool | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    owner_references: tuple[_Owner, ...] | None = None

    def owner(self) -> Workload | None:
        """The controller, in the same namespace."""
        found = (owner for owner in self.owner_references or () if owner.controller)
        return next((Workload(self.namespace, owner.kind, owner.name) for owner in found), None)


class _ClaimVolume(msgspec.Struct, frozen=True, rename="camel"):
    claim_name: str


class _Volume(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    persistent_volume_claim: _ClaimVolume | None = None
    ephemeral: msgspec.Raw = _NULL


class _PodSpec(msgspec.Struct, frozen=True):
    volumes: tuple[_Volume, ...] | None = None


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    start_time: datetime | None = None


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _PodSpec
    status: _PodStatus = _PodStatus()


class _Template(msgspec.Struct, frozen=True):
    metadata: _Metadata | None = None


class _JobSpec(msgspec.Struct, frozen=True):
    template: _Template = _Template()


class _JobTemplate(msgspec.Struct, frozen=True):
    spec: _JobSpec = _JobSpec()


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    template: _Template = _Template()
    job_template: _JobTemplate = _JobTemplate()


class _Condition(msgspec.Struct, frozen=True):
    type: str
    status: str


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] | None = None


class _Workload(msgspec.Struct, frozen=True):
    """An object with a pod template: in `spec`, or in the `data` of a ControllerRevision."""

    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()
    data: msgspec.Raw = _NULL


class _Revision(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()


class _Resource(msgspec.Struct, frozen=True):
    name: str
    kind: str
    namespaced: bool


class _Resources(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...] | None


_pods: Final = msgspec.json.Decoder(Page[_Pod])
_workloads: Final = msgspec.json.Decoder(Page[_Workload])
_objects: Final = msgspec.json.Decoder(Page[dict[str, Any]])
_resources: Final = msgspec.json.Decoder(_Resources)
_revision: Final = msgspec.json.Decoder(_Revision)


def read_usage(api: KubernetesClient, settings: Settings, namespace: str = "") -> Usage:
    """Read the uses in a namespace, or in all of them. Raises ClusterError if a list cannot be read completely."""
    return usage(read(api, settings, namespace), settings)


def read(api: KubernetesClient, settings: Settings, namespace: str = "") -> Observed:
    """Read pods and templates. Pods are last, so that the claims they mount are as recent as possible.

    Raises ClusterError.
    """
    reader = ListReader(api, "usage", _SECONDS, _REMEDY)
    prefix, place = f"{settings.annotation_prefix}/", f"/namespaces/{namespace}" if namespace else ""
    found, pods, mounted, problems = list[ObservedTemplate](), list[ObservedPod](), set[Claim](), list[Problem]()
    for group, resource, kind in _WORKLOADS:
        for workload in reader.items(_workloads, f"/apis/{group}/v1{place}/{resource}", _MOST_PAGES):
            found += _template(workload, kind, prefix)
    for custom in _custom(settings):
        for kind, value in _of_kind(reader, custom, namespace, place):
            try:
                found += _templates(Unstructured(value), kind, prefix)
            except (InvalidObject, ObjectTooLarge, msgspec.ValidationError) as error:
                problems.append(_problem(Unstructured(value), str(error)))
    for pod in reader.items(_pods, f"/api/v1{place}/pods", _MOST_PAGES):
        if pod.status.phase not in _FINISHED:
            mounted.update(_claims(pod))
            pods += _pod(pod, f"{prefix}{INJECTED}")
    return Observed(tuple(pods), tuple(found), frozenset(mounted), tuple(problems))


def _problem(owner: Unstructured, text: str) -> Problem:
    namespace = owner.metadata.get("namespace")
    return Problem(namespace if isinstance(namespace, str) else "", text)


def _claims(pod: _Pod) -> Iterator[Claim]:
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim:
            yield Claim(pod.metadata.namespace, volume.persistent_volume_claim.claim_name)
        elif volume.ephemeral != _NULL:
            yield Claim(pod.metadata.namespace, f"{pod.metadata.name}-{volume.name}")


def _pod(pod: _Pod, annotation: str) -> Iterator[ObservedPod]:
    metadata, text = pod.metadata, (pod.metadata.annotations or {}).get(annotation)
    if text is not None:
        identity = Workload(metadata.namespace, "Pod", metadata.name)
        since = pod.status.start_time or metadata.creation_timestamp
        yield ObservedPod(identity, metadata.owner(), text, since, metadata.uid)


def _template(workload: _Workload, kind: str, prefix: str) -> Iterator[ObservedTemplate]:
    """The template of a workload, if it has annotations of models and its pods may still be created."""
    metadata, owner = workload.metadata, workload.metadata.owner()
    annotations = _under(prefix, _annotations(workload, kind))
    if not annotations or (kind == "Job" and _is_finished(workload)):
        return
    is_history = kind == "ControllerRevision" or (kind == "ReplicaSet" and owner is not None)
    since = None if kind in _CHANGEABLE else metadata.creation_timestamp
    yield ObservedTemplate(Workload(metadata.namespace, kind, metadata.name), owner, annotations, is_history, since)


def _annotations(workload: _Workload, kind: str) -> Mapping[str, str]:
    template = workload.spec.template
    if kind == "CronJob":
        template = workload.spec.job_template.spec.template
    elif kind == "ControllerRevision":
        try:
            template = _revision.decode(workload.data).spec.template
        except (msgspec.MsgspecError, RecursionError):  # other controllers keep other data in revisions
            template = _Template()
    return (template.metadata and template.metadata.annotations) or {}


def _under(prefix: str, annotations: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in annotations.items() if name.startswith(prefix) and isinstance(value, str)}


def _is_finished(job: _Workload) -> bool:
    return any(each.type in ("Complete", "Failed") and each.status == "True" for each in job.status.conditions or ())


def _custom(settings: Settings) -> Iterator[WorkloadKind]:
    """Kinds of the platform, and Argo's Rollout. Those of Kubernetes that are read anyway are left out."""
    known = {(group, resource) for group, resource, _ in _WORKLOADS}
    for kind in (_ROLLOUT, *settings.workloads.kinds):
        if (kind.group, kind.resource) not in known:
            known.add((kind.group, kind.resource))
            yield kind


def _of_kind(
    reader: ListReader, wanted: WorkloadKind, namespace: str, place: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a kind, with its name. None if the cluster does not have it."""
    path = f"/apis/{wanted.group}/{wanted.version}" if wanted.group else f"/api/{wanted.version}"
    served = reader.find(_resources, path)
    for resource in (served.resources if served else None) or ():
        if resource.name == wanted.resource and (resource.namespaced or not namespace):
            version = path.removeprefix("/apis/").removeprefix("/api/")
            for value in reader.items(_objects, f"{path}{place}/{wanted.resource}", _MOST_PAGES):
                yield resource.kind, {"apiVersion": version, "kind": resource.kind, **value}


def _templates(owner: Unstructured, kind: str, prefix: str) -> Iterator[ObservedTemplate]:
    """The templates of an object of any kind. Raises InvalidObject and ObjectTooLarge."""
    owner.check()
    metadata = msgspec.convert(owner.metadata, _Metadata)
    for template in templates(owner):
        if annotations := _under(prefix, template.annotations):
            identity = Workload(metadata.namespace, kind, metadata.name)
            yield ObservedTemplate(identity, metadata.owner(), annotations)
