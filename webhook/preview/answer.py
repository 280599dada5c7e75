"""What a preview answers: the shapes of its JSON, and what is made of outcomes to fill them."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from webhook.admission.result import Decision
from webhook.annotations.injected import InjectedModel
from webhook.errors import one_line
from webhook.kubernetes.patch import Operation
from webhook.preview.apply import apply
from webhook.preview.documents import Document, Limits, read
from webhook.preview.outcome import Outcome, PodOutcome
from webhook.preview.text import ManifestText


class PodPreview(msgspec.Struct, frozen=True):
    """The pods that come of one template of a workload."""

    path: Annotated[str, Meta(description="Where the template stands in the document, as a JSON pointer.")]
    decision: Decision
    reason: Annotated[str, Meta(description="One word.")]
    message: Annotated[str, Meta(description="Why the pods are refused; empty where they are not.")]
    warnings: tuple[str, ...]
    models: tuple[InjectedModel, ...]
    patch: Annotated[
        tuple[Operation, ...], Meta(description="The JSON Patch (RFC 6902) that the webhook answers for such a pod.")
    ]
    manifest: Annotated[dict[str, Any], Meta(description="The pod as it will be.")]

    @classmethod
    def of(cls, outcome: PodOutcome) -> "PodPreview":
        """What is shown of an outcome."""
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


class DocumentPreview(msgspec.Struct, frozen=True, rename="camel"):
    """What the cluster would do with one document."""

    api_version: str
    kind: str
    name: str
    namespace: str
    allowed: Annotated[bool, Meta(description="Whether it, and all pods of it, are admitted.")]
    decision: Decision
    reason: Annotated[str, Meta(description="One word.")]
    message: Annotated[str, Meta(description="Why pods are refused; empty where none is.")]
    warnings: tuple[str, ...]
    models: Annotated[
        tuple[InjectedModel, ...],
        Meta(description="The models of all its pods, with files and bytes where the catalog knows them."),
    ]
    patch: Annotated[
        tuple[Operation, ...],
        Meta(description="A JSON Patch of the document: its pins, and what happens to its pods by their templates."),
    ]
    manifest: Annotated[dict[str, Any], Meta(description="The document with that patch.")]
    diff: Annotated[
        str, Meta(description="A unified diff of the two as YAML, in which the init containers' script is cut short.")
    ]
    pods: Annotated[
        tuple[PodPreview, ...], Meta(description="Of a workload: its pods, one for each template. Empty for a Pod.")
    ]

    @classmethod
    def of(cls, document: Document, outcome: Outcome, diff: str) -> "DocumentPreview":
        """What is shown of an outcome."""
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
            () if document.kind == "Pod" else tuple(PodPreview.of(each) for each in outcome.pods),
        )


class PreviewResponse(msgspec.Struct, frozen=True):
    """A preview of a whole manifest."""

    documents: tuple[DocumentPreview, ...]

    @property
    def diff(self) -> str:
        """The diffs of all documents."""
        return "".join(document.diff for document in self.documents)


def answer(body: bytes, outcomes: Sequence[Outcome], limits: Limits) -> PreviewResponse:
    """The preview of a manifest, of which each document has met its outcome."""
    text, previews = ManifestText(body), list[DocumentPreview]()
    for document, outcome in zip(read(body, limits), outcomes, strict=True):
        diff = text.diff(document, outcome.patch, outcome.namespace)
        previews.append(DocumentPreview.of(document, outcome, diff))
    return PreviewResponse(tuple(previews))


def manifests(body: bytes, given: PreviewResponse, limits: Limits) -> str:
    """The manifest with everything applied, as YAML; what is to be said of a document stands before it, as comments."""
    text, written = ManifestText(body), list[str]()
    for document, preview in zip(read(body, limits), given.documents, strict=True):
        remarks = [f"refused: {preview.message}"] if preview.message else []
        remarks += [f"warning: {warning}" for warning in preview.warnings]
        comments = "".join(f"# {one_line(remark)}\n" for remark in remarks)
        written.append(comments + text.patched(document, preview.patch))
    return "---\n".join(written)
