"""The workloads whose pods come from a template: where that stands, and the fields that pinning reads."""

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
"""Where the template stands (a JSON pointer), by group and kind."""


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


class _Workload(msgspec.Struct, rename="camel", frozen=True, gc=False):
    spec: _Spec
    metadata: ObjectMeta = ObjectMeta()


_decoder: Final = msgspec.json.Decoder(_Workload)
_json: Final = msgspec.json.Decoder(Any)


class Workload(msgspec.Struct, frozen=True, gc=False):
    """A workload, as it is about to be stored, or as it was before."""

    kind: str
    annotations: Mapping[str, str]
    """Its own, not its template's."""
    template: Pod
    """A StatefulSet's has its claims as volumes, as its pods do."""
    whole_template: Any
    """The same with every field that it has, to tell whether it stays as it is."""
    path: str
    """Where the template stands in it, as a JSON pointer."""


class WorkloadChange(msgspec.Struct, frozen=True, gc=False):
    """The creation or update of a workload."""

    new: Workload
    old: Workload | None = None
    """None where it is created."""

    @property
    def keeps_template(self) -> bool:
        """Whether the template stays as it was, so that no pod is made anew."""
        return self.old is not None and bool(self.old.whole_template == self.new.whole_template)

    def lost_annotation(self, name: str) -> str | None:
        """The value that an annotation of the template had, where that it is missing is all that has changed."""
        annotations = self.new.template.metadata.annotations
        if self.old is None or not annotations or name in annotations:
            return None
        before, after = (_without_annotation(each.whole_template, name) for each in (self.old, self.new))
        return (self.old.template.metadata.annotations or {}).get(name) if before == after else None

    @property
    def may_change_template(self) -> bool:
        """Whether the API server lets the template change: a Job's stays as it was made."""
        return self.old is None or self.new.kind != "Job"


def _without_annotation(template: Any, name: str) -> Any:
    metadata = template.get("metadata") or {}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != name}
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def decode(raw: bytes | msgspec.Raw, group: str, kind: str) -> Workload:
    """The workload in a JSON document. Raises InvalidObject with the path of what is not as a workload has it."""
    path = TEMPLATES[group, kind]
    workload = decoded(_decoder, raw, f"a {kind}")
    template = workload.spec.job_template.spec.template if kind == "CronJob" else workload.spec.template
    whole = decoded(_json, template, f"a {kind}")
    made = _with_claims(pod.decode(template), workload.spec)
    return Workload(kind, workload.metadata.annotations or {}, made, whole, path)


def _with_claims(template: Pod, spec: _Spec) -> Pod:
    """The template with the volumes that a StatefulSet's controller adds to each pod: one for each of its claims."""
    if not spec.volume_claim_templates:
        return template
    claims = tuple(Volume(claim.metadata.name or "") for claim in spec.volume_claim_templates)
    own = tuple(volume for volume in template.spec.volumes or () if volume not in claims)
    return replace(template, spec=replace(template.spec, volumes=(*claims, *own)))
