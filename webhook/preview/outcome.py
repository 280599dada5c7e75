"""What the cluster would do with a document: `pin` for the workload itself, `inject` for each pod that it makes."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import jsonpatch
import msgspec

from webhook import pod, review, workload
from webhook.annotations import is_asking
from webhook.catalog import Catalog
from webhook.errors import BadRequest, BodyTooLarge
from webhook.injection import Decision, Injection, inject
from webhook.patch import Operation
from webhook.pinning import misplaced, pin
from webhook.preview.documents import Document, Limits
from webhook.preview.templates import Template, hands_down, templates
from webhook.record import Record
from webhook.settings import Settings


class PodOutcome(msgspec.Struct, frozen=True):
    """What happens to the pods of one template."""

    template: Template
    injection: Injection


class Outcome(msgspec.Struct, frozen=True):
    """What happens to one document."""

    namespace: str
    stored: Injection
    """What is done to the object itself, as it is stored: of a workload, its pins."""
    pods: tuple[PodOutcome, ...]
    misplaced: tuple[str, ...] = ()
    """What its author should know of annotations that do nothing where they stand."""

    @property
    def deciding(self) -> Injection:
        """The answer that tells of the whole: a refusal before an injection, that before one where nothing is done."""
        answers = [*(each.injection for each in self.pods), self.stored]
        order: tuple[Decision, ...] = ("refused", "injected", "pinned", "unchanged", "skipped")
        return min(answers, key=lambda answer: order.index(answer.decision))

    @property
    def message(self) -> str:
        """Why pods of it are refused; empty where they are not."""
        return "; ".join(_distinct(each.injection.message for each in self.pods if each.injection.message))

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that its author is told, each once."""
        stored = self.stored.warnings
        if self.stored.reason == "WouldBeRefused" and self.message:
            stored = stored[:-1]  # the last one foretells what `message` says
        return _distinct(chain(stored, self.misplaced, *(each.injection.warnings for each in self.pods)))

    @property
    def models(self) -> tuple[Record, ...]:
        """The models of all its pods."""
        return tuple(dict.fromkeys(chain.from_iterable(each.injection.models for each in self.pods)))

    @property
    def patch(self) -> tuple[Operation, ...]:
        """All that is done, as operations on the document: to what is stored, and to the pods by their templates."""
        pods = (each.template.in_object(each.injection.operations) for each in self.pods)
        return (*self.stored.operations, *chain.from_iterable(pods))


def preview(document: Document, namespace: str, settings: Settings, catalog: Catalog) -> Outcome:
    """What happens to a document that is created in `namespace`, or changed as its review says.

    Raises BadRequest where it is not what its kind has to be, and Unread where the catalog has to look at S3 first.
    """
    try:
        return _preview(document, namespace, settings, catalog)
    except BodyTooLarge:
        raise
    except BadRequest as error:
        raise BadRequest(f"{' '.join(filter(None, (document.kind, document.name)))}: {error}") from error


def _preview(document: Document, namespace: str, settings: Settings, catalog: Catalog) -> Outcome:
    for template in templates(document):
        _check_annotations(template)
    request = _request(document)
    if request and not (request.creates_a_pod or request.changes_a_workload):
        return Outcome(namespace, Injection("skipped", "NotForUs"), ())
    change = request.decode_workload() if request and request.changes_a_workload else _change(document)
    stored = pin(change, namespace, settings, catalog) if change else Injection("skipped", "NoPods")
    found = templates(msgspec.structs.replace(document, value=apply(document.value, stored.operations)))
    pods = tuple(PodOutcome(each, inject(_decode(each), namespace, settings, catalog)) for each in found)
    return Outcome(namespace, stored, pods, () if change else _misplaced(document, found, settings))


def makes_pods(document: Document) -> bool:
    """Whether a document is more than its author's own words: what is said of it depends on models."""
    return document.kind == "Pod" or _is_workload(document) or bool(templates(document))


def check_models(outcomes: Iterable[Outcome], limits: Limits) -> None:
    """Raise BodyTooLarge where pods get more models than is shown of."""
    if sum(len(each.injection.models) for outcome in outcomes for each in outcome.pods) > limits.models:
        raise BodyTooLarge(f"the pods ask for more than {limits.models} models together; preview a part of them")


def apply(value: dict[str, Any], patch: Iterable[Operation]) -> dict[str, Any]:
    """A JSON object with a JSON Patch applied; the object itself stays as it is."""
    changed: dict[str, Any] = jsonpatch.apply_patch(value, list(patch)) if patch else value
    return changed


def _decode(template: Template) -> pod.Pod:
    return pod.decode(msgspec.json.encode(template.pod))


def _check_annotations(template: Template) -> None:
    """Name an annotation whose value was written without quotes: people do, and a decoder's path does not name it."""
    metadata = template.pod.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    for name, value in annotations.items() if isinstance(annotations, dict) else ():
        if not isinstance(value, str):
            raise BadRequest(
                f"{template.path}: the annotation {name} is no text: write it in quotes".removeprefix(": ")
            )


def _request(document: Document) -> review.AdmissionRequest | None:
    if document.review is None:
        return None
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": document.review}
    return review.decode(msgspec.json.encode(whole))


def _change(document: Document) -> workload.Change | None:
    if not _is_workload(document):
        return None
    group = document.group_version.partition("/")[0]
    return workload.Change(workload.decode(msgspec.json.encode(document.value), group, document.kind))


def _is_workload(document: Document) -> bool:
    group, _, version = document.group_version.partition("/")
    return version == "v1" and (group, document.kind) in workload.TEMPLATES


def _misplaced(document: Document, found: list[Template], settings: Settings) -> tuple[str, ...]:
    """A warning where an object that is no workload of Kubernetes' own asks for a model, and none of its pods does."""
    annotations = document.metadata.get("annotations")
    if document.kind == "Pod" or not isinstance(annotations, dict) or hands_down(document):
        return ()
    if any(is_asking(each.pod["metadata"].get("annotations") or {}, settings) for each in found):
        return ()
    return misplaced(
        document.kind, annotations, found[0].in_object_at("/metadata/annotations") if found else None, settings
    )


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
