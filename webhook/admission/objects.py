"""The decision about an object of a kind that the setting `workloads.kinds` names: `pin` for each of its pod templates.

The templates are found by their shape, so the object may have any number of them. Within the object, the same reference
gets the same version. The object is never refused.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import msgspec

from webhook.admission.decide import MOST_ATTACHMENTS
from webhook.admission.misplaced import misplaced
from webhook.admission.pinning import labelled, pin_template, pins_of
from webhook.admission.result import AdmissionResult, Decision
from webhook.annotations.parsing import is_asking, is_following, parse
from webhook.annotations.pinned import Reference, reference_of, restarted_at
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey
from webhook.inventory.inventory import Inventory
from webhook.kubernetes.decoding import InvalidObject
from webhook.kubernetes.patch import Operation
from webhook.kubernetes.templates import Template, templates
from webhook.kubernetes.unstructured import ObjectTooLarge, Unstructured
from webhook.kubernetes.workload import Workload, WorkloadChange
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Settings

_SIGNIFICANCE: Final[tuple[Decision, ...]] = ("pinned", "unchanged", "skipped")
_NO_TEMPLATE: Final = AdmissionResult("skipped", "NoPods")
_ARGO_ROLLOUT, _ARGO_TEMPLATE = ("argoproj.io", "Rollout"), "/spec/template"
_MOST_MISPLACED: Final = 16
"""Warnings about annotations without effect. The API server passes on 4 KiB of warnings."""


class ObjectChange(msgspec.Struct, frozen=True):
    """The creation or update of an object."""

    new: Unstructured
    old: Unstructured | None = None
    """None if the object is created."""


def pin_object(
    change: ObjectChange, namespace: str, settings: Settings, catalog: Catalog, inventory: Inventory | None = None
) -> AdmissionResult:
    """Decide about an object. Raises LookupRequired, with the keys of all templates."""
    try:
        found, former = _templates(change.new), _templates(change.old) if change.old else []
        new, warnings = _workloads(change.new.kind, found, settings)
        old, _ = _workloads(change.new.kind, former, settings)
        _check_size(change.new.kind, new.values(), settings)
    except ObjectTooLarge as error:
        return AdmissionResult("unchanged", "TooLarge", warnings=(f"no version is pinned: {error}",))
    warnings += islice(misplaced(change.new, found, settings), _MOST_MISPLACED)
    held = _held(new.values(), old.values(), settings)
    changes = [WorkloadChange(workload, old.get(path)) for path, workload in new.items()]
    result = _merged(_pinned(changes, held, namespace, settings, catalog, inventory), warnings)
    return labelled(result, _labels(change.new), settings) if _follows(change.new, found, settings) else result


def _follows(owner: Unstructured, found: Iterable[Template], settings: Settings) -> bool:
    """Whether the controller is to roll out an object: an Argo Rollout with a template that asks for that."""
    return (owner.group, owner.kind) == _ARGO_ROLLOUT and any(
        template.path == _ARGO_TEMPLATE and is_following(template.annotations, settings) for template in found
    )


def _labels(owner: Unstructured) -> Mapping[str, str] | None:
    labels = owner.metadata.get("labels")
    return labels if isinstance(labels, dict) else None


def undecodable(template: Template, error: InvalidObject, settings: Settings) -> tuple[str, ...]:
    """A warning about a template that is not a pod, if it asks for a model. If not, it may not be a template at all."""
    asks = is_asking(template.annotations, settings)
    return (f"no model is injected: {template.path} is {error}",) if asks else ()


def _templates(owner: Unstructured) -> list[Template]:
    owner.check()
    return templates(owner)


def _workloads(kind: str, found: Iterable[Template], settings: Settings) -> tuple[dict[str, Workload], list[str]]:
    """The templates by their paths, and warnings about those that are not pods."""
    decoded, warnings = dict[str, Workload](), list[str]()
    for template in found:
        try:
            decoded[template.path] = Workload(kind, {}, template.decode(), template.pod, template.annotations_path)
        except InvalidObject as error:
            warnings += undecodable(template, error, settings)
    return decoded, warnings


def _check_size(kind: str, new: Iterable[Workload], settings: Settings) -> None:
    """Raise ObjectTooLarge if all templates together ask for more than one pod may."""
    attachments = 0
    for workload in new:
        spec = workload.template.spec
        containers = (*(spec.containers or ()), *(spec.init_containers or ()))
        attachments += len(_models(workload, settings)) * len(containers)
    if attachments > MOST_ATTACHMENTS:
        raise ObjectTooLarge(
            f"the templates of the {kind} ask for {attachments} models times containers; at most {MOST_ATTACHMENTS}"
        )


def _models(workload: Workload, settings: Settings) -> tuple[ModelRequest, ...]:
    """The models that a template asks for; none if its annotations are invalid."""
    try:
        return parse(workload.template.metadata.annotations or {}, settings).models
    except Refusal:
        return ()


def _held(new: Collection[Workload], old: Collection[Workload], settings: Settings) -> dict[Reference, str]:
    """The version of each reference that is pinned in the object, for a template that asks for it.

    The pins of all old templates count, because the items of a list can move, and a patch can replace the whole list.
    A pin counts unless all templates that ask for its reference have been restarted since.
    """
    pinned = dict[Reference, dict[str | None, str]]()
    for workload in (*new, *old):
        pins = pins_of(workload.template, settings)
        for each in pins.models:
            pinned.setdefault(each.reference, {}).setdefault(pins.restarted_at, each.version)
    held = dict[Reference, str]()
    for workload in new:
        restarted = restarted_at(workload.template.metadata.annotations or {})
        for reference in map(reference_of, _models(workload, settings)):
            versions = pinned.get(reference, {})
            version = versions.get(restarted) if restarted else next(iter(versions.values()), None)
            if version:
                held.setdefault(reference, version)
    return held


def _pinned(  # noqa: PLR0913, PLR0917 - what `pin` needs
    changes: Iterable[WorkloadChange],
    held: Mapping[Reference, str],
    namespace: str,
    settings: Settings,
    catalog: Catalog,
    inventory: Inventory | None,
) -> list[AdmissionResult]:
    results, keys = list[AdmissionResult](), list[VersionKey]()
    for change in changes:
        try:
            results.append(pin_template(change, namespace, settings, catalog, held, inventory))
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
