"""The decision about an object of a kind that the setting `workloads.kinds` names: `pin` for each of its pod templates.

The templates are found by their shape, so the object may have any number of them. Within the object, the same reference
gets the same version. The object is never refused.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Final

import msgspec

from webhook.admission.decide import MOST_ATTACHMENTS
from webhook.admission.misplaced import misplaced
from webhook.admission.pinning import pin, valid_pins
from webhook.admission.result import AdmissionResult, Decision
from webhook.annotations.parsing import is_asking, parse
from webhook.annotations.pinned import Pins
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey
from webhook.kubernetes.decoding import InvalidObject
from webhook.kubernetes.patch import Operation
from webhook.kubernetes.templates import Template, templates
from webhook.kubernetes.unstructured import ObjectTooLarge, Unstructured
from webhook.kubernetes.workload import Workload, WorkloadChange
from webhook.model.refusals import Refusal
from webhook.settings import Settings

_SIGNIFICANCE: Final[tuple[Decision, ...]] = ("pinned", "unchanged", "skipped")
_NO_TEMPLATE: Final = AdmissionResult("skipped", "NoPods")
_MOST_MISPLACED: Final = 16
"""Warnings about annotations without effect. The API server passes on 4 KiB of warnings."""


class ObjectChange(msgspec.Struct, frozen=True):
    """The creation or update of an object."""

    new: Unstructured
    old: Unstructured | None = None
    """None if the object is created."""


def pin_object(change: ObjectChange, namespace: str, settings: Settings, catalog: Catalog) -> AdmissionResult:
    """Decide about an object. Raises LookupRequired, with the keys of all templates."""
    try:
        found, former = _templates(change.new), _templates(change.old) if change.old else []
        changes, warnings = _changes(change.new.kind, found, former, settings)
        _check_size(change.new.kind, changes, settings)
    except ObjectTooLarge as error:
        return AdmissionResult("unchanged", "TooLarge", warnings=(f"no version is pinned: {error}",))
    warnings += islice(misplaced(change.new, found, settings), _MOST_MISPLACED)
    return _merged(_pinned(changes, namespace, settings, catalog), warnings)


def undecodable(template: Template, error: InvalidObject, settings: Settings) -> tuple[str, ...]:
    """A warning about a template that is not a pod, if it asks for a model. If not, it may not be a template at all."""
    asks = is_asking(template.annotations, settings)
    return (f"no model is injected: {template.path} is {error}",) if asks else ()


def _templates(owner: Unstructured) -> list[Template]:
    owner.check()
    return templates(owner)


def _changes(
    kind: str, found: Iterable[Template], former: Iterable[Template], settings: Settings
) -> tuple[list[WorkloadChange], list[str]]:
    """The change of each template, and warnings about those that are not pods."""
    before = {template.path: template for template in former}
    changes, warnings = list[WorkloadChange](), list[str]()
    for template in found:
        try:
            new = _workload(kind, template)
        except InvalidObject as error:
            warnings += undecodable(template, error, settings)
            continue
        changes.append(WorkloadChange(new, _old(kind, before.get(template.path))))
    return changes, warnings


def _old(kind: str, template: Template | None) -> Workload | None:
    try:
        return _workload(kind, template) if template else None
    except InvalidObject:
        return None


def _workload(kind: str, template: Template) -> Workload:
    return Workload(kind, {}, template.decode(), template.pod, template.annotations_path)


def _check_size(kind: str, changes: Iterable[WorkloadChange], settings: Settings) -> None:
    """Raise ObjectTooLarge if all templates together ask for more than one pod may."""
    attachments = sum(_attachments(change, settings) for change in changes)
    if attachments > MOST_ATTACHMENTS:
        raise ObjectTooLarge(
            f"the templates of the {kind} ask for {attachments} models times containers; at most {MOST_ATTACHMENTS}"
        )


def _attachments(change: WorkloadChange, settings: Settings) -> int:
    template = change.new.template
    try:
        models = parse(template.metadata.annotations or {}, settings).models
    except Refusal:
        return 0
    return len(models) * len((*(template.spec.containers or ()), *(template.spec.init_containers or ())))


def _pinned(
    changes: Iterable[WorkloadChange], namespace: str, settings: Settings, catalog: Catalog
) -> list[AdmissionResult]:
    asking = [change for change in changes if is_asking(change.new.template.metadata.annotations or {}, settings)]
    held = Pins(tuple(pin for change in asking for pins in valid_pins(change, settings) for pin in pins.models))
    results, keys = list[AdmissionResult](), list[VersionKey]()
    for change in changes:
        try:
            results.append(pin(change, namespace, settings, catalog, held))
        except LookupRequired as required:
            keys += required.keys
    if keys:
        raise LookupRequired(list(dict.fromkeys(keys)))
    return results


def _merged(results: Sequence[AdmissionResult], warnings: Iterable[str]) -> AdmissionResult:
    """One result for the object. Templates whose annotations are in one mapping have the same pins."""
    deciding = min(results, key=lambda result: _SIGNIFICANCE.index(result.decision), default=_NO_TEMPLATE)
    operations = dict[str, Operation]()
    for operation in chain.from_iterable(result.operations for result in results):
        operations.setdefault(operation["path"], operation)
    return AdmissionResult(
        deciding.decision,
        deciding.reason,
        operations=tuple(operations.values()),
        warnings=tuple(dict.fromkeys((*chain.from_iterable(result.warnings for result in results), *warnings))),
        models=tuple(dict.fromkeys(chain.from_iterable(result.models for result in results))),
        foretold=tuple(chain.from_iterable(result.foretold for result in results)),
    )
