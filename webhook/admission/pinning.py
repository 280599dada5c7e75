"""The decision about a workload: the pure function `pin`.

References such as aliases and ranges are resolved once, and the result is written into the template, so that all pods
of the template get the same version by the same strategy, also after a rollback. A workload is never refused; its
author gets warnings if the template's pods will be refused, or if annotations are misplaced.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from webhook.admission.choosing import allowed
from webhook.admission.decide import inject
from webhook.admission.misplaced import misplaced_on
from webhook.admission.result import AdmissionResult, Decision
from webhook.annotations import pinned
from webhook.annotations.contract import FOLLOW
from webhook.annotations.injected import InjectedModel
from webhook.annotations.parsing import is_asking, is_following, parse
from webhook.annotations.pinned import PINNED, Pin, Pins, Reference, reference_of
from webhook.catalog.resolution import Catalog
from webhook.inventory.inventory import Inventory
from webhook.kubernetes.patch import Operation, add, escape
from webhook.kubernetes.pod import Pod
from webhook.kubernetes.workload import WorkloadChange
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest, PodRequest
from webhook.settings import Settings
from webhook.strategies.strategy import Target

_NOTHING_HELD: Final[Mapping[Reference, str]] = {}
_FOLLOWERS: Final = ("Deployment", "StatefulSet", "DaemonSet")
_TEMPLATE_UNCHANGED, _NOTHING_TO_PIN = "TemplateUnchanged", "NothingToPin"
_NOTHING_DONE: Final = (_TEMPLATE_UNCHANGED, _NOTHING_TO_PIN)


def pin(
    change: WorkloadChange, namespace: str, settings: Settings, catalog: Catalog, inventory: Inventory | None = None
) -> AdmissionResult:
    """Decide about a workload. Raises LookupRequired, as the catalog does."""
    result = pin_template(change, namespace, settings, catalog, inventory=inventory)
    new = change.new
    if result.decision == "skipped" or not is_following(new.template.metadata.annotations or {}, settings):
        return result
    if new.kind not in _FOLLOWERS:
        warning = f"{settings.annotation_prefix}/{FOLLOW} does nothing on a {new.kind}: a {new.kind} is not rolled out"
        return msgspec.structs.replace(result, warnings=(*result.warnings, warning))
    return labelled(result, new.labels, settings)


def labelled(result: AdmissionResult, labels: Mapping[str, str] | None, settings: Settings) -> AdmissionResult:
    """A decision about a workload that follows a version, with the label by which the controller finds the workload.

    A label that exists is kept, whatever its value: people stop the controller with it.
    """
    name = f"{settings.annotation_prefix}/{FOLLOW}"
    if labels is None:
        operation = add("/metadata/labels", {name: "true"})
    elif name not in labels:
        operation = add(f"/metadata/labels/{escape(name)}", "true")
    else:
        return result
    operations = (*result.operations, operation)
    if result.reason in _NOTHING_DONE:
        return msgspec.structs.replace(result, decision="pinned", reason="Followed", operations=operations)
    return msgspec.structs.replace(result, operations=operations)


def pin_template(  # noqa: PLR0913, PLR0917 - what `inject` needs, and the other templates' versions
    change: WorkloadChange,
    namespace: str,
    settings: Settings,
    catalog: Catalog,
    held: Mapping[Reference, str] = _NOTHING_HELD,
    inventory: Inventory | None = None,
) -> AdmissionResult:
    """Decide about one pod template of a workload. Raises LookupRequired, as the catalog does.

    `held` are the versions that other templates of the object have. They take precedence over a new choice.
    """
    misplaced = _misplaced(change, settings)
    if change.keeps_template:
        return AdmissionResult("unchanged", _TEMPLATE_UNCHANGED, warnings=misplaced)
    template, name = change.new.template, _name(settings)
    if restored := change.lost_annotation(name):  # `kubectl replace` dropped it; restoring it avoids a rollout
        return AdmissionResult("pinned", "Restored", operations=(_write(change, name, restored),), warnings=misplaced)
    try:
        request = parse(template.metadata.annotations or {}, settings, namespace)
        for model in request.models:  # before a message of the catalog reveals anything about a forbidden model
            allowed(model, Target(template, namespace), request.service_account, settings)
        wanted, kept = _wanted(change, request, settings, catalog, held)
    except Refusal as refusal:
        return _advice(change, misplaced, str(refusal))
    is_pinned = any(map(pinned.needs_pin, request.models))
    pinned_template = _with_pins(template, wanted, settings) if is_pinned else template
    outcome = inject(pinned_template, namespace, settings, catalog, inventory)
    warnings = (*misplaced, *kept, *outcome.warnings)
    if outcome.decision == "refused":
        return _advice(change, warnings, outcome.message)
    operations = _operations(change, _with_strategies(wanted, request, outcome.models), settings)
    if outcome.decision == "skipped" or not operations:
        decision: Decision = "skipped" if outcome.decision == "skipped" else "unchanged"
        reason = outcome.reason if decision == "skipped" else _NOTHING_TO_PIN
        return AdmissionResult(decision, reason, warnings=warnings)
    return AdmissionResult("pinned", "Pinned", operations=tuple(operations), warnings=warnings, models=outcome.models)


def _misplaced(change: WorkloadChange, settings: Settings) -> tuple[str, ...]:
    new = change.new
    if is_asking(new.template.metadata.annotations or {}, settings):
        return ()
    return misplaced_on(new.kind, new.annotations, new.annotations_path, settings)


def _advice(change: WorkloadChange, warnings: tuple[str, ...], message: str) -> AdmissionResult:
    """Leave the workload unchanged, and warn its author that its pods will be refused."""
    warning = f"pods of this {change.new.kind} will be refused: {message}"
    return AdmissionResult("unchanged", "WouldBeRefused", warnings=(*warnings, warning), foretold=(warning,))


def _wanted(
    change: WorkloadChange, request: PodRequest, settings: Settings, catalog: Catalog, held: Mapping[Reference, str]
) -> tuple[Pins, list[str]]:
    """The pins that the template should have, and warnings about those that could not be made or renewed.

    A pin is kept until its reference changes or the template is restarted. Pins of the old template are used too,
    because `kubectl replace` drops the annotation. Raises UnknownModel.
    """
    annotations = change.new.template.metadata.annotations or {}
    current, former = pins_of(change.new.template, settings), Pins()
    if change.old:
        former = pins_of(change.old.template, settings)
    valid = [pins for pins in (current, former) if pins.holds_for(annotations)]
    kept, warnings = [], []
    for model in filter(pinned.needs_pin, request.models):
        pin = next(filter(None, (pins.pin_of(model) for pins in valid)), None)
        if pin is None and change.may_change_template:
            last = current.pin_of(model) or former.pin_of(model)
            try:
                version = held.get(reference_of(model)) or _resolved_version(model, catalog)
            except Refusal as refusal:
                if last is None:
                    raise
                version, problem = None, str(refusal)
            else:
                problem = "" if version else "S3 does not answer"
            pin = Pin.of(model, version) if version else last
            if problem:
                place = f"stays pinned to {last.version}" if last else f"{model.version} is not pinned"
                advice = "" if last else "; each of its pods resolves it"
                warnings.append(f"{model.model} {place}: {problem}{advice}")
        if pin is not None:
            kept.append(pin)
    return Pins(tuple(kept), pinned.restarted_at(annotations)), warnings


def _resolved_version(model: ModelRequest, catalog: Catalog) -> str | None:
    """The version that a reference resolves to now. None if S3 did not confirm it. Raises UnknownModel."""
    if not pinned.is_floating(model):
        return model.version
    resolved = catalog.resolve(msgspec.structs.replace(model, pinned_version=None))
    return resolved.artifact.version if resolved.is_checked else None


def _with_strategies(wanted: Pins, request: PodRequest, models: Sequence[InjectedModel]) -> Pins:
    """The pins with the chosen strategies, for requests with several."""
    chosen = [(model, entry.strategy) for model, entry in zip(request.models, models, strict=True)] if models else []
    complete = (
        next((Pin.of(model, pin.version, strategy) for model, strategy in chosen if pin.is_of(model)), pin)
        for pin in wanted.models
    )
    return msgspec.structs.replace(wanted, models=tuple(complete))


def pins_of(template: Pod, settings: Settings) -> Pins:
    """The pins in a template's annotation; empty if it has none."""
    return pinned.decode((template.metadata.annotations or {}).get(_name(settings)))


def _with_pins(template: Pod, wanted: Pins, settings: Settings) -> Pod:
    annotations = {**(template.metadata.annotations or {}), _name(settings): wanted.encode()}
    metadata = msgspec.structs.replace(template.metadata, annotations=annotations)
    return msgspec.structs.replace(template, metadata=metadata)


def _operations(change: WorkloadChange, wanted: Pins, settings: Settings) -> list[Operation]:
    """Write the pins, unless the template has them."""
    current = pins_of(change.new.template, settings)
    annotations = change.new.template.metadata.annotations or {}
    if not wanted.models or (current.models == wanted.models and current.holds_for(annotations)):
        return []
    return [_write(change, _name(settings), wanted.encode())]


def _write(change: WorkloadChange, name: str, value: str) -> Operation:
    return add(f"{change.new.annotations_path}/{escape(name)}", value)


def _name(settings: Settings) -> str:
    return f"{settings.annotation_prefix}/{PINNED}"
