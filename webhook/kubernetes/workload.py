"""Workloads with a pod template: the template's path, and the fields that pinning reads."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from webhook.kubernetes import pod
from webhook.kubernetes.decoding import decoded
from webhook.kubernetes.pod import ObjectMeta, Pod, Volume

_POD_TEMPLATE: Final = "/spec/template"
TEMPLATES: Final[Mapping[tuple[str, str], str]] = {
    ("apps", "Deployment"): _POD_TEMPLATE,
    ("apps", "StatefulSet"): _POD_TEMPLATE,
    ("apps", "DaemonSet"): _POD_TEMPLATE,
    ("batch", "Job"): _POD_TEMPLATE,
    ("batch", "CronJob"): f"/spec/jobTemplate{_POD_TEMPLATE}",
}
"""The JSON Pointer of the pod template, by API group and kind."""


class _Job(msgspec.Struct, rename="camel", frozen=True, gc=False):
    template: msgspec.Raw = msgspec.Raw(b"null")


class _JobTemplate(msgspec.Struct, rename="camel", frozen=True, gc=False):
    spec: _Job = _Job()


class _Claim(msgspec.Struct, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()


class _Spec(msgspec.Struct, rename="camel", frozen=True, gc=False):
    template: msgspec.Raw = msgspec.Raw(b"null")
    job_template: _JobTemplate = _JobTemplate()
    volume_claim_templates: tuple[_Claim, ...] | None = None


class _Metadata(ObjectMeta, rename="camel", frozen=True, gc=False):
    labels: dict[str, str] | None = None


class _Workload(msgspec.Struct, rename="camel", frozen=True, gc=False):
    spec: _Spec
    metadata: _Metadata = _Metadata()


_decoder: Final = msgspec.json.Decoder(_Workload)
_json: Final = msgspec.json.Decoder(Any)


class Workload(msgspec.Struct, frozen=True, gc=False):
    """A workload: the new or the old object of an AdmissionReview."""

    kind: str
    annotations: Mapping[str, str]
    """The workload's annotations, not the template's."""
    template: Pod
    """The pod template. A StatefulSet's volumeClaimTemplates are among its volumes, as in the pods."""
    whole_template: Any
    """The pod template as plain JSON with all fields, to compare templates."""
    annotations_path: str
    """The JSON Pointer of the template's annotations in the object."""
    labels: Mapping[str, str] | None = None
    """The workload's labels, not the template's. None if it has no mapping of them."""


class WorkloadChange(msgspec.Struct, frozen=True, gc=False):
    """The creation or update of a workload."""

    new: Workload
    old: Workload | None = None
    """None if the workload is created."""

    @property
    def keeps_template(self) -> bool:
        """Whether the update leaves the template unchanged, and so restarts no pods."""
        return self.old is not None and bool(self.old.whole_template == self.new.whole_template)

    def lost_annotation(self, name: str) -> str | None:
        """The old value of a template's annotation, if its removal is the template's only change."""
        annotations = self.new.template.metadata.annotations
        if self.old is None or not annotations or name in annotations:
            return None
        before, after = (_without_annotation(workload.whole_template, name) for workload in (self.old, self.new))
        return (self.old.template.metadata.annotations or {}).get(name) if before == after else None

    @property
    def may_change_template(self) -> bool:
        """Whether the API server accepts a change of the template: that of a Job, also of Volcano's, is immutable."""
        return self.old is None or self.new.kind != "Job"


def _without_annotation(template: Any, name: str) -> Any:
    metadata = template.get("metadata") or {}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != name}
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def decode(raw: bytes | msgspec.Raw, group: str, kind: str) -> Workload:
    """Decode a workload. Raises InvalidObject with the JSON path of a field of the wrong type."""
    path = TEMPLATES[group, kind]
    workload = decoded(_decoder, raw, f"a {kind}")
    template = workload.spec.job_template.spec.template if kind == "CronJob" else workload.spec.template
    whole = decoded(_json, template, f"a {kind}")
    template_pod = _with_claims(pod.decode(template), workload.spec)
    metadata, annotations_path = workload.metadata, f"{path}/metadata/annotations"
    return Workload(kind, metadata.annotations or {}, template_pod, whole, annotations_path, metadata.labels)


def _with_claims(template: Pod, spec: _Spec) -> Pod:
    """The template with the volumes that the StatefulSet controller adds to pods: one for each volumeClaimTemplate."""
    if not spec.volume_claim_templates:
        return template
    claims = tuple(Volume(claim.metadata.name or "") for claim in spec.volume_claim_templates)
    names = {claim.name for claim in claims}
    others = tuple(volume for volume in template.spec.volumes or () if volume.name not in names)
    return replace(template, spec=replace(template.spec, volumes=(*claims, *others)))
