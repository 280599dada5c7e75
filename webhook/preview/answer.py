"""The response to a preview: the types of its JSON, and their construction from outcomes.

The types are plain dataclasses, because both msgspec, which encodes them, and pydantic, which describes them in the
OpenAPI document, support dataclasses. InjectedModel is a Struct, which pydantic does not know, so msgspec describes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import msgspec
from pydantic import Field, InstanceOf, WithJsonSchema

from webhook.admission.result import Decision
from webhook.annotations.injected import InjectedModel
from webhook.errors import one_line
from webhook.kubernetes.patch import Operation
from webhook.preview.apply import apply
from webhook.preview.documents import Document, read
from webhook.preview.limits import Limits
from webhook.preview.outcome import Outcome, PodOutcome
from webhook.preview.text import ManifestText

_, _SCHEMAS = msgspec.json.schema_components([InjectedModel])
Model: TypeAlias = Annotated[InstanceOf[InjectedModel], WithJsonSchema(_SCHEMAS[InjectedModel.__name__])]
"""A model, with its JSON schema."""


@dataclass(frozen=True, slots=True)
class PodPreview:
    """The preview of the pods that one pod template of a workload creates."""

    path: Annotated[str, Field(description="The JSON Pointer (RFC 6901) of the pod template in the document.")]
    decision: Decision
    reason: Annotated[str, Field(description="The reason for the decision, as one constant word.")]
    message: Annotated[str, Field(description="Why the pods are refused; empty if they are admitted.")]
    warnings: tuple[str, ...]
    models: tuple[Model, ...]
    patch: Annotated[
        tuple[Operation, ...], Field(description="The JSON Patch (RFC 6902) of the webhook's answer for such a pod.")
    ]
    manifest: Annotated[dict[str, Any], Field(description="The pod with the patch applied.")]

    @classmethod
    def of(cls, outcome: PodOutcome) -> "PodPreview":
        """Build the preview from the outcome. Raises InvalidManifest if the patch does not apply."""
        template, injection = outcome.template, outcome.injection
        return cls(
            template.path,
            injection.decision,
            injection.reason,
            injection.message,
            injection.warnings,
            injection.models,
            injection.operations,
            apply(template.pod, injection.operations),
        )


@dataclass(frozen=True, slots=True)
class DocumentPreview:
    """The preview of one document."""

    apiVersion: str  # noqa: N815 - the field's name in the JSON
    kind: str
    name: str
    namespace: str
    allowed: Annotated[bool, Field(description="Whether the document and all its pods are admitted.")]
    decision: Decision
    reason: Annotated[str, Field(description="The reason for the decision, as one constant word.")]
    message: Annotated[str, Field(description="Why pods are refused; empty if all are admitted.")]
    warnings: tuple[str, ...]
    models: Annotated[
        tuple[Model, ...],
        Field(
            description="The models of all its pods. `files` and `bytes` are null if the catalog does not know them."
        ),
    ]
    patch: Annotated[
        tuple[Operation, ...],
        Field(description="A JSON Patch of the document: its pins, and the patches of its pods, at their templates."),
    ]
    manifest: Annotated[dict[str, Any], Field(description="The document with the patch applied.")]
    diff: Annotated[
        str,
        Field(description="The patch as a unified diff of the YAML. The script of the init containers is abbreviated."),
    ]
    pods: Annotated[
        tuple[PodPreview, ...],
        Field(description="The pods of a workload, one entry for each pod template. Empty for a Pod."),
    ]

    @classmethod
    def of(cls, document: Document, outcome: Outcome, diff: str) -> "DocumentPreview":
        """Build the preview from the outcome. Raises InvalidManifest if the patch does not apply."""
        deciding = outcome.deciding
        return cls(
            document.group_version,
            document.kind,
            document.name,
            outcome.namespace,
            deciding.decision != "refused",
            deciding.decision,
            deciding.reason,
            outcome.message,
            outcome.warnings,
            outcome.models,
            outcome.patch,
            apply(document.value, outcome.patch),
            diff,
            () if document.kind == "Pod" else tuple(PodPreview.of(pod) for pod in outcome.pods),
        )


@dataclass(frozen=True, slots=True)
class PreviewResponse:
    """A preview of a whole manifest."""

    documents: tuple[DocumentPreview, ...]

    @property
    def diff(self) -> str:
        """The unified diffs of all documents, one after the other."""
        return "".join(document.diff for document in self.documents)


def answer(body: bytes, outcomes: Sequence[Outcome], limits: Limits) -> PreviewResponse:
    """The preview of a manifest. `outcomes` are in the order of the documents that `read` returns."""
    text, previews = ManifestText(body), list[DocumentPreview]()
    for document, outcome in zip(read(body, limits), outcomes, strict=True):
        diff = text.diff(document, outcome.patch, outcome.namespace)
        previews.append(DocumentPreview.of(document, outcome, diff))
    return PreviewResponse(tuple(previews))


def manifests(body: bytes, response: PreviewResponse, limits: Limits) -> str:
    """The manifest as YAML with all patches applied. Refusals and warnings precede their document as comments."""
    text, patched = ManifestText(body), list[str]()
    for document, preview in zip(read(body, limits), response.documents, strict=True):
        remarks = [f"refused: {preview.message}"] if preview.message else []
        remarks += [f"warning: {warning}" for warning in preview.warnings]
        comments = "".join(f"# {one_line(remark)}\n" for remark in remarks)
        patched.append(comments + text.patched(document, preview.patch))
    return "---\n".join(patched)
