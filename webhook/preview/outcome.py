"""Decides on a document as admission does: `pin` or `pin_object` for the workload itself, `inject` for its pods."""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from webhook.admission import review
from webhook.admission.decide import inject
from webhook.admission.misplaced import misplaced
from webhook.admission.objects import ObjectChange, pin_object, undecodable
from webhook.admission.pinning import pin
from webhook.admission.result import AdmissionResult, Decision
from webhook.annotations.injected import InjectedModel
from webhook.annotations.parsing import parse
from webhook.annotations.pinned import is_floating
from webhook.catalog.resolution import Catalog
from webhook.errors import one_line
from webhook.inventory.inventory import Inventory
from webhook.kubernetes import workload
from webhook.kubernetes.decoding import InvalidObject
from webhook.kubernetes.patch import Operation
from webhook.kubernetes.templates import Template
from webhook.kubernetes.templates import templates as templates_of
from webhook.kubernetes.unstructured import ObjectTooLarge, without_nulls
from webhook.preview.apply import apply
from webhook.preview.documents import Document
from webhook.preview.errors import InvalidManifest, ManifestTooLarge
from webhook.preview.limits import Limits
from webhook.settings import Settings


class PodOutcome(msgspec.Struct, frozen=True):
    """The decision on the pods of one template."""

    template: Template
    injection: AdmissionResult


class Outcome(msgspec.Struct, frozen=True):
    """The decisions on one document."""

    namespace: str
    stored: AdmissionResult
    """The decision on the object itself, which pins the versions of a workload."""
    pods: tuple[PodOutcome, ...]
    misplaced: tuple[str, ...] = ()
    """Warnings about annotations without effect, and about pod templates that cannot be decoded."""

    @property
    def deciding(self) -> AdmissionResult:
        """The most significant decision: a refusal, else an injection, else a pin, else one without changes."""
        answers = [*(outcome.injection for outcome in self.pods), self.stored]
        order: tuple[Decision, ...] = ("refused", "injected", "pinned", "unchanged", "skipped")
        return min(answers, key=lambda answer: order.index(answer.decision))

    @property
    def message(self) -> str:
        """Why pods are refused; empty if all are admitted."""
        return "; ".join(_distinct(outcome.injection.message for outcome in self.pods if outcome.injection.message))

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings without duplicates."""
        foretold = self.stored.foretold if self.message else ()  # `message` has the refusals themselves
        stored = (warning for warning in self.stored.warnings if warning not in foretold)
        given = chain(stored, self.misplaced, *(outcome.injection.warnings for outcome in self.pods))
        return _distinct(map(one_line, given))

    @property
    def models(self) -> tuple[InjectedModel, ...]:
        """The models of all pods without duplicates."""
        return tuple(dict.fromkeys(chain.from_iterable(outcome.injection.models for outcome in self.pods)))

    @property
    def patch(self) -> tuple[Operation, ...]:
        """The JSON Patch of the document: the pins, and the patches of its pods with paths in their templates."""
        pods = (outcome.template.in_object(outcome.injection.operations) for outcome in self.pods)
        return (*self.stored.operations, *chain.from_iterable(pods))


def preview(  # noqa: PLR0913, PLR0917 - what `inject` needs, and the limits
    document: Document,
    namespace: str,
    settings: Settings,
    catalog: Catalog,
    limits: Limits,
    inventory: Inventory | None = None,
) -> Outcome:
    """Decide on a document that is created in `namespace`, or changed by the request of its AdmissionReview.

    Raises InvalidManifest if the document does not fit its kind, ManifestTooLarge, and LookupRequired if the catalog
    has to query S3 first.
    """
    try:
        return _preview(document, namespace, settings, catalog, limits, inventory)
    except (InvalidManifest, InvalidObject) as error:
        raise InvalidManifest(f"{' '.join(filter(None, (document.kind, document.name)))}: {error}") from error


def _preview(  # noqa: PLR0913, PLR0917
    document: Document,
    namespace: str,
    settings: Settings,
    catalog: Catalog,
    limits: Limits,
    inventory: Inventory | None,
) -> Outcome:
    for template in _templates(document):
        _check_annotations(template, settings, is_strict=document.is_of_kubernetes)
    request = _request(document)
    if request and not _makes_pods(request):
        return Outcome(namespace, AdmissionResult("skipped", "NotForUs"), ())
    stored = _stored(document, request, namespace, settings, catalog, inventory)
    pinned_templates = _templates(msgspec.structs.replace(document, value=apply(document.value, stored.operations)))
    pods, warnings = list[PodOutcome](), list[str]()
    for template in pinned_templates:
        try:
            decoded = template.decode()
        except InvalidObject as error:
            if document.is_of_kubernetes:
                raise
            warnings += undecodable(template, error, settings)
            continue
        pods.append(PodOutcome(template, inject(decoded, namespace, settings, catalog, inventory)))
        check_models(pods, limits)
        if template.is_made and pods[-1].injection.operations:
            warnings.append(
                f"the pods of {template.path} get the model when their controller creates them: the manifest has no "
                "place for what is added, so the diff does not show it"
            )
    if document.kind != "Pod":
        warnings += misplaced(document, pinned_templates, settings)
        warnings += _floating(document.kind, pods, settings)
    return Outcome(namespace, stored, tuple(pods), tuple(warnings))


def _stored(  # noqa: PLR0913, PLR0917
    document: Document,
    request: review.AdmissionRequest | None,
    namespace: str,
    settings: Settings,
    catalog: Catalog,
    inventory: Inventory | None,
) -> AdmissionResult:
    """The decision on the object itself."""
    if request.changes_a_workload if request else _is_workload(document):
        change = request.decode_workload() if request else _workload_change(document)
        return pin(change, namespace, settings, catalog, inventory=inventory)
    if request.changes_one_of(settings.workloads) if request else _is_named(document, settings):
        change_of_object = request.decode_object() if request else ObjectChange(document)
        return pin_object(change_of_object, namespace, settings, catalog, inventory)
    return AdmissionResult("skipped", "NoPods")


def _floating(kind: str, pods: Iterable[PodOutcome], settings: Settings) -> Iterator[str]:
    """A warning if pods would resolve a reference each for itself, because nothing pins it in their template."""
    injected = [pod.template for pod in pods if pod.injection.decision == "injected"]
    for template in injected:
        for model in parse(template.annotations, settings).models:
            if is_floating(model) and model.pinned_version is None:
                yield (
                    f"{model.model} {model.version} is resolved again for each pod of this {kind}, or each workload "
                    "that makes them: they can get different versions. Write an exact version, or let the platform "
                    "name the kind in webhook.workloads.kinds"
                )


def makes_pods(document: Document) -> bool:
    """Whether a document creates pods, so that its preview reveals which models exist and needs authorization."""
    return bool(document.review) or document.kind == "Pod" or _is_workload(document) or bool(_templates(document))


def check_models(pods: Iterable[PodOutcome], limits: Limits) -> None:
    """Raises ManifestTooLarge if the pods together get more models than the limit."""
    if sum(len(outcome.injection.models) for outcome in pods) > limits.models:
        raise ManifestTooLarge(f"the pods ask for more than {limits.models} models together; preview a part of them")


def _check_annotations(template: Template, settings: Settings, *, is_strict: bool) -> None:
    """Raise InvalidManifest for an annotation whose value is not text, often because its quotes are missing.

    The decoder would also reject it, but without the annotation's name.
    """
    for name, value in template.annotations.items():
        is_ours = name.startswith(f"{settings.annotation_prefix}/")
        if isinstance(value, str) or not (is_ours or (is_strict and value is not None)):
            continue  # the API server takes null for empty text
        problem = "is not text; quote its value"
        if value is None:
            problem = "is null, as YAML reads ~, null and an empty value; write a value, or remove the annotation"
        raise InvalidManifest(f"{template.path}: the annotation {name} {problem}".removeprefix(": "))


def _request(document: Document) -> review.AdmissionRequest | None:
    if document.review is None:
        return None
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": document.review}
    request = review.decode(msgspec.json.encode(whole))
    named = (request.kind.group, request.kind.version, request.kind.kind)
    if named != (document.group, document.group_version.rpartition("/")[2], document.kind):
        reviewed = "/".join(filter(None, named))
        raise InvalidManifest(
            f"the AdmissionReview's request.kind is {reviewed}, but its object is "
            f"{document.group_version}/{document.kind}; correct one of them"
        )
    return request


def _makes_pods(request: review.AdmissionRequest) -> bool:
    """Whether the request may create pods. Includes workloads of kinds that the webhook is not registered for."""
    is_written = request.operation in ("CREATE", "UPDATE") and not request.sub_resource
    return request.creates_a_pod or (is_written and request.kind.kind != "Pod")


def _workload_change(document: Document) -> workload.WorkloadChange:
    value = msgspec.json.encode(without_nulls(document.value))  # as the API server sends objects to webhooks
    return workload.WorkloadChange(workload.decode(value, document.group, document.kind))


def _templates(document: Document) -> list[Template]:
    try:
        return templates_of(document)
    except ObjectTooLarge as error:
        raise ManifestTooLarge(str(error)) from error


def _is_named(document: Document, settings: Settings) -> bool:
    """Whether the document is of a kind that the platform names. Its plural is guessed, as it is not in a manifest."""
    return settings.workloads.names(document.group, document.resource)


def _is_workload(document: Document) -> bool:
    version = document.group_version.rpartition("/")[2]
    return version == "v1" and (document.group, document.kind) in workload.TEMPLATES


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
