"""What happens to a workload: one pure function, `pin`.

A floating reference is resolved once and written into the template, so that every pod of it, on every node and after
every rollback, gets the same version. The rest is advice, for the person at `kubectl apply`: that the template's pods
will be refused, and that annotations do nothing where they stand. A workload itself is never refused.
"""

from collections.abc import Mapping, Sequence

import msgspec

from webhook.admission import rules
from webhook.admission.decide import AdmissionResult, Decision, inject, service_account
from webhook.annotations import is_asking, parse
from webhook.annotations import pinned as pins
from webhook.annotations.pinned import PINNED, Pin, Pins
from webhook.catalog import Catalog
from webhook.errors import Refusal, UnknownModel
from webhook.kubernetes.patch import Operation, add, escape
from webhook.kubernetes.pod import Pod
from webhook.kubernetes.workload import WorkloadChange
from webhook.model.request import ModelRequest
from webhook.settings import Settings


def pin(change: WorkloadChange, namespace: str, settings: Settings, catalog: Catalog) -> AdmissionResult:
    """What has to be done to a workload. Raises Unread where the catalog has to look at S3 before it can answer."""
    misplaced = _misplaced(change, settings)
    if change.keeps_template:
        return AdmissionResult("unchanged", "TemplateUnchanged", warnings=misplaced)
    template, name = change.new.template, _name(settings)
    if restored := change.lost_annotation(name):  # and nothing else has changed, so no pod should be made anew
        return AdmissionResult("pinned", "Restored", operations=(_write(change, name, restored),), warnings=misplaced)
    try:
        request = parse(template.metadata.annotations or {}, settings)
        account = service_account(template.spec, request, settings)
        for model in request.models:  # before anything is told of a model
            rules.check(model, namespace, account, settings)
        floating = [model for model in request.models if pins.is_floating(model)]
        wanted, kept = _wanted(change, floating, settings, catalog)
    except Refusal as refusal:
        return _advice(change, misplaced, str(refusal))
    outcome = inject(_with_pins(template, wanted, settings) if floating else template, namespace, settings, catalog)
    warnings = (*misplaced, *kept, *outcome.warnings)
    if outcome.decision == "refused":
        return _advice(change, warnings, outcome.message)
    operations = _operations(change, wanted, settings)
    if outcome.decision == "skipped" or not operations:
        is_skipped = outcome.decision == "skipped"
        decision: Decision = "skipped" if is_skipped else "unchanged"
        return AdmissionResult(decision, outcome.reason if is_skipped else "NothingToPin", warnings=warnings)
    return AdmissionResult("pinned", "Pinned", operations=tuple(operations), warnings=warnings, models=outcome.models)


def _misplaced(change: WorkloadChange, settings: Settings) -> tuple[str, ...]:
    new = change.new
    if is_asking(new.template.metadata.annotations or {}, settings):
        return ()
    return misplaced(new.kind, new.annotations, f"{new.path}/metadata/annotations", settings)


def misplaced(kind: str, annotations: Mapping[str, str], where: str, settings: Settings) -> tuple[str, ...]:
    """A warning where an object has annotations that do nothing there: `where` they would, as a JSON pointer."""
    if not is_asking(annotations, settings):
        return ()
    place = where.strip("/").replace("/", ".")
    return (f"{settings.annotation_prefix}/model does nothing on a {kind} itself: write it to {place}",)


def _advice(change: WorkloadChange, warnings: tuple[str, ...], message: str) -> AdmissionResult:
    """The workload stays as it is; its author hears what its pods will meet."""
    foretold = f"pods of this {change.new.kind} will be refused: {message}"
    return AdmissionResult("unchanged", "WouldBeRefused", warnings=(*warnings, foretold))


def _wanted(
    change: WorkloadChange, floating: Sequence[ModelRequest], settings: Settings, catalog: Catalog
) -> tuple[Pins, list[str]]:
    """The pins that the template should have, and warnings about those that could not be renewed.

    A pin is kept until its reference changes or the template is restarted; `kubectl replace` drops it with the
    annotation, so it is also taken from the template as it was. Raises UnknownModel.
    """
    annotations = change.new.template.metadata.annotations or {}
    held, former = _pins(change.new.template, settings), Pins()
    if change.old:
        former = _pins(change.old.template, settings)
    valid = [each for each in (held, former) if each.holds_for(annotations)]
    kept, warnings = [], []
    for model in floating:
        version = next(filter(None, (each.version_of(model) for each in valid)), None)
        if version is None and change.may_change_template:
            last = held.version_of(model) or former.version_of(model)
            try:
                version = _chosen(model, catalog)
            except Refusal as refusal:
                if last is None:
                    raise
                version = last
                warnings.append(f"{model.model} stays pinned to {last}: {refusal}")
        if version is not None:
            kept.append(Pin.of(model, version))
    return Pins(tuple(kept), pins.restarted_at(annotations)), warnings


def _chosen(model: ModelRequest, catalog: Catalog) -> str:
    """The version that a reference means now. Raises UnknownModel, also where S3 does not say whether it is fit."""
    resolved = catalog.resolve(msgspec.structs.replace(model, pinned=None))
    if not resolved.is_checked:
        raise UnknownModel(
            f"{model.model} {model.version} can't be pinned while S3 can't be asked; its pods resolve it"
        )
    return resolved.artifact.version


def _pins(template: Pod, settings: Settings) -> Pins:
    return pins.decode((template.metadata.annotations or {}).get(_name(settings)))


def _with_pins(template: Pod, wanted: Pins, settings: Settings) -> Pod:
    annotations = {**(template.metadata.annotations or {}), _name(settings): wanted.encode()}
    metadata = msgspec.structs.replace(template.metadata, annotations=annotations)
    return msgspec.structs.replace(template, metadata=metadata)


def _operations(change: WorkloadChange, wanted: Pins, settings: Settings) -> list[Operation]:
    """Write the pins, where the template does not have them."""
    held = _pins(change.new.template, settings)
    annotations = change.new.template.metadata.annotations or {}
    if not wanted.models or (held.models == wanted.models and held.holds_for(annotations)):
        return []
    return [_write(change, _name(settings), wanted.encode())]


def _write(change: WorkloadChange, name: str, value: str) -> Operation:
    return add(f"{change.new.path}/metadata/annotations/{escape(name)}", value)


def _name(settings: Settings) -> str:
    return f"{settings.annotation_prefix}/{PINNED}"
