"""Decoding and encoding AdmissionReview v1 (`k8s.io/api/admission/v1`)."""

from typing import Any, Final, Literal

import msgspec
import pybase64

from webhook.admission.objects import ObjectChange
from webhook.admission.result import AdmissionResult
from webhook.annotations.injected import encode
from webhook.errors import one_line
from webhook.kubernetes import unstructured, workload
from webhook.kubernetes.decoding import InvalidObject, decoded
from webhook.settings import WorkloadSettings


class GroupVersionKind(msgspec.Struct, frozen=True, gc=False):
    """meta/v1 GroupVersionKind."""

    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(msgspec.Struct, frozen=True, gc=False):
    """meta/v1 GroupVersionResource."""

    group: str = ""
    version: str = ""
    resource: str = ""


class AdmissionRequest(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The fields of an AdmissionRequest that are read. `object` stays JSON until its kind is checked."""

    uid: str
    kind: GroupVersionKind
    operation: str
    resource: GroupVersionResource = GroupVersionResource()
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
        """Whether this is the creation or the update of a workload of Kubernetes with a pod template."""
        kind = self.kind
        return self._is_written and kind.version == "v1" and (kind.group, kind.kind) in workload.TEMPLATES

    @property
    def _is_written(self) -> bool:
        return self.operation in ("CREATE", "UPDATE") and not self.sub_resource

    def changes_one_of(self, workloads: WorkloadSettings) -> bool:
        """Whether this is the creation or the update of an object of one of the other kinds that are named.

        In any version: the API server converts objects to the version that the webhook is registered for.
        """
        return self._is_written and workloads.names(self.resource.group, self.resource.resource)

    def mentions(self, text: str) -> bool:
        """Whether a text that JSON does not escape occurs in the object."""
        return text.encode() in bytes(self.object)

    def decode_workload(self) -> workload.WorkloadChange:
        """Decode the new workload, and of an update the old one. Raises InvalidObject."""
        group, kind = self.kind.group, self.kind.kind
        new = workload.decode(self.object, group, kind)
        if self.operation == "CREATE":
            return workload.WorkloadChange(new)
        return workload.WorkloadChange(new, workload.decode(self.old_object, group, kind))

    def decode_object(self) -> ObjectChange:
        """Decode the new object, and of an update the old one. Raises InvalidObject if one is not a JSON object."""
        new = unstructured.decode(self.object)
        return (
            ObjectChange(new) if self.operation == "CREATE" else ObjectChange(new, unstructured.decode(self.old_object))
        )


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


def encode_response(result: AdmissionResult) -> bytes:
    """Encode the response without its uid: allowed with a JSON Patch, or refused with code 422 and a message."""
    response: dict[str, Any] = {"allowed": result.decision != "refused"}
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
    return msgspec.json.encode(response)


def respond(uid: str, response: bytes) -> bytes:
    """The AdmissionReview that answers the request with this uid."""
    start = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":'
    return b"%b%b,%b}" % (start, msgspec.json.encode(uid), response[1:])


def _line(text: str, longest: int) -> str:
    """One line of limited length, because the API server drops warnings with control characters."""
    return one_line(text if len(text) <= longest else f"{text[: longest - 1]}…")
