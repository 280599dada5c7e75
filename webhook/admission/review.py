"""Decoding and encoding AdmissionReview v1 (`k8s.io/api/admission/v1`)."""

from typing import Any, Final, Literal

import msgspec
import pybase64

from webhook.admission.result import AdmissionResult
from webhook.annotations.injected import encode
from webhook.errors import one_line
from webhook.kubernetes import workload
from webhook.kubernetes.decoding import InvalidObject, decoded


class GroupVersionKind(msgspec.Struct, frozen=True, gc=False):
    """meta/v1 GroupVersionKind."""

    group: str = ""
    version: str = ""
    kind: str = ""


class AdmissionRequest(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The fields of an AdmissionRequest that are read. `object` stays JSON until its kind is checked."""

    uid: str
    kind: GroupVersionKind
    operation: str
    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")
    namespace: str = ""
    name: str = ""
    sub_resource: str = ""

    @property
    def creates_a_pod(self) -> bool:
        """Whether this is the creation of a core/v1 Pod, and not of a subresource."""
        return (
            self.operation == "CREATE"
            and not self.sub_resource
            and (self.kind.group, self.kind.version, self.kind.kind) == ("", "v1", "Pod")
        )

    @property
    def changes_a_workload(self) -> bool:
        """Whether this is the creation or the update of a workload with a pod template."""
        kind = self.kind
        return (
            self.operation in ("CREATE", "UPDATE")
            and not self.sub_resource
            and kind.version == "v1"
            and (kind.group, kind.kind) in workload.TEMPLATES
        )

    def decode_workload(self) -> workload.WorkloadChange:
        """Decode the new workload, and of an update the old one. Raises InvalidObject."""
        group, kind = self.kind.group, self.kind.kind
        new = workload.decode(self.object, group, kind)
        if self.operation == "CREATE":
            return workload.WorkloadChange(new)
        return workload.WorkloadChange(new, workload.decode(self.old_object, group, kind))


class AdmissionReview(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The AdmissionReview that the API server sends."""

    api_version: Literal["admission.k8s.io/v1"]
    kind: Literal["AdmissionReview"]
    request: AdmissionRequest


_decoder = msgspec.json.Decoder(AdmissionReview)
_LONGEST_WARNING: Final = 256
"""The API server truncates longer warnings, and drops those that exceed 4 KiB in total."""
_LONGEST_MESSAGE: Final = 2048


def decode(body: bytes) -> AdmissionRequest:
    """Decode an AdmissionReview v1. Raises InvalidObject with the JSON path of a field of the wrong type."""
    request = decoded(_decoder, body, "an AdmissionReview v1").request
    if not request.uid:
        raise InvalidObject("not an AdmissionReview v1: request.uid is empty")
    return request


def respond(uid: str, result: AdmissionResult) -> bytes:
    """Encode the response: allowed with a JSON Patch, or refused with code 422 and a message."""
    response: dict[str, Any] = {"uid": uid, "allowed": result.decision != "refused"}
    if result.decision == "refused":
        response["status"] = {"code": 422, "reason": "Invalid", "message": _line(result.message, _LONGEST_MESSAGE)}
    if result.operations:
        response["patchType"] = "JSONPatch"
        patch = pybase64.b64encode(msgspec.json.encode(result.operations))
        response["patch"] = msgspec.Raw(b'"%b"' % patch)  # base64 needs no JSON escapes
    if result.models:
        key = "pinned" if result.decision == "pinned" else "injected"
        response["auditAnnotations"] = {key: encode(result.models)}
    if result.warnings:
        response["warnings"] = [_line(warning, _LONGEST_WARNING) for warning in result.warnings]
    return msgspec.json.encode({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})


def _line(text: str, longest: int) -> str:
    """One line of limited length, because the API server drops warnings with control characters."""
    return one_line(text if len(text) <= longest else f"{text[: longest - 1]}…")
