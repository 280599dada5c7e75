"""What the cluster would do with a document: `pin` for the workload itself, `inject` for each pod that it makes."""

from collections.abc import Iterable
from itertools import chain

import msgspec

from webhook.admission import review
from webhook.admission.decide import inject
from webhook.admission.pinning import pin
from webhook.admission.result import AdmissionResult, Decision
from webhook.annotations.injected import InjectedModel
from webhook.annotations.parsing import is_asking
from webhook.catalog.resolution import Catalog
from webhook.kubernetes import pod, workload
from webhook.kubernetes.decoding import InvalidObject
from webhook.kubernetes.patch import Operation
from webhook.preview.apply import apply
from webhook.preview.documents import JSON, Document, Limits
from webhook.preview.errors import InvalidManifest, ManifestTooLarge
from webhook.preview.misplaced import misplaced
from webhook.preview.templates import Template, templates
from webhook.settings import Settings


class PodOutcome(msgspec.Struct, frozen=True):
    """What happens to the pods of one template."""

    template: Template
    injection: AdmissionResult


class Outcome(msgspec.Struct, frozen=True):
    """What happens to one document."""

    namespace: str
    stored: AdmissionResult
    """What is done to the object itself, as it is stored: of a workload, its pins."""
    pods: tuple[PodOutcome, ...]
    misplaced: tuple[str, ...] = ()
    """What its author should know of annotations that do nothing where they stand."""

    @property
    def deciding(self) -> AdmissionResult:
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
    def models(self) -> tuple[InjectedModel, ...]:
        """The models of all its pods."""
        return tuple(dict.fromkeys(chain.from_iterable(each.injection.models for each in self.pods)))

    @property
    def patch(self) -> tuple[Operation, ...]:
        """All that is done, as operations on the document: to what is stored, and to the pods by their templates."""
        pods = (each.template.in_object(each.injection.operations) for each in self.pods)
        return (*self.stored.operations, *chain.from_iterable(pods))


def preview(document: Document, namespace: str, settings: Settings, catalog: Catalog, limits: Limits) -> Outcome:
    """The outcome of a document that is created in `namespace`, or changed as its review says.

    Raises InvalidManifest where it lacks what its kind has to have, and LookupRequired where the catalog has to ask S3
    first.
    """
    try:
        return _preview(document, namespace, settings, catalog, limits)
    except (InvalidManifest, InvalidObject) as error:
        raise InvalidManifest(f"{' '.join(filter(None, (document.kind, document.name)))}: {error}") from error


def _preview(document: Document, namespace: str, settings: Settings, catalog: Catalog, limits: Limits) -> Outcome:
    for template in templates(document):
        _check_annotations(template, settings, is_strict=_is_of_kubernetes(document))
    request = _request(document)
    if request and not _makes_pods(request):
        return Outcome(namespace, AdmissionResult("skipped", "NotForUs"), ())
    change = request.decode_workload() if request and request.changes_a_workload else _change(document)
    stored = pin(change, namespace, settings, catalog) if change else AdmissionResult("skipped", "NoPods")
    found = templates(msgspec.structs.replace(document, value=apply(document.value, stored.operations)))
    pods, warnings = list[PodOutcome](), list[str]()
    for template in found:
        try:
            asked = pod.decode(_encoded(template.pod))
        except InvalidObject as error:
            if _is_of_kubernetes(document):
                raise
            if is_asking(template.annotations, settings):  # else it only looks like a pod's
                warnings.append(f"no model is injected: {template.path} is {error}")
            continue
        pods.append(PodOutcome(template, inject(asked, namespace, settings, catalog)))
        _check_models(pods, limits)
    if document.kind != "Pod":
        warnings += misplaced(document, found, settings)
    return Outcome(namespace, stored, tuple(pods), tuple(warnings))


def makes_pods(document: Document) -> bool:
    """Whether a document is more than its author's own words: what is said of it depends on models."""
    return bool(document.review) or document.kind == "Pod" or _is_workload(document) or bool(templates(document))


def check_models(outcomes: Iterable[Outcome], limits: Limits) -> None:
    """Raise ManifestTooLarge where pods get more models than is shown of."""
    _check_models([each for outcome in outcomes for each in outcome.pods], limits)


def _check_models(pods: Iterable[PodOutcome], limits: Limits) -> None:
    if sum(len(each.injection.models) for each in pods) > limits.models:
        raise ManifestTooLarge(f"the pods ask for more than {limits.models} models together; preview a part of them")


def _is_of_kubernetes(document: Document) -> bool:
    """Whether its kind is known, so that what looks like a pod template is one."""
    return document.group in ("", "apps", "batch")


def _check_annotations(template: Template, settings: Settings, *, is_strict: bool) -> None:
    """Name an annotation whose value was written without quotes: people do, and a decoder's path does not name it."""
    for name, value in template.annotations.items():
        if not isinstance(value, str) and (is_strict or name.startswith(f"{settings.annotation_prefix}/")):
            raise InvalidManifest(
                f"{template.path}: the annotation {name} is no text: write it in quotes".removeprefix(": ")
            )


def _request(document: Document) -> review.AdmissionRequest | None:
    if document.review is None:
        return None
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": document.review}
    request = review.decode(msgspec.json.encode(whole))
    named = (request.kind.group, request.kind.version, request.kind.kind)
    if named != (document.group, document.group_version.rpartition("/")[2], document.kind):
        raise InvalidManifest(f"the review is of {'/'.join(filter(None, named))}, and its object of another kind")
    return request


def _makes_pods(request: review.AdmissionRequest) -> bool:
    """Whether pods come of what is reviewed. Of workloads that the webhook is not asked about, too."""
    is_written = request.operation in ("CREATE", "UPDATE") and not request.sub_resource
    return request.creates_a_pod or (is_written and request.kind.kind != "Pod")


def _change(document: Document) -> workload.WorkloadChange | None:
    if not _is_workload(document):
        return None
    return workload.WorkloadChange(workload.decode(_encoded(document.value), document.group, document.kind))


def _encoded(value: JSON) -> bytes:
    """An object as the API server sends it on: without what its author has left empty."""
    return msgspec.json.encode(_without_nulls(value))


def _without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def _is_workload(document: Document) -> bool:
    version = document.group_version.rpartition("/")[2]
    return version == "v1" and (document.group, document.kind) in workload.TEMPLATES


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
