"""What happens to a workload: one pure function, `pin`.

A floating reference is resolved once and written into the template, so that every pod of it, on every node and after
every rollback, gets the same version. The rest is advice, for the person at `kubectl apply`: that the template's pods
will be refused, and that annotations do nothing where they stand. A workload itself is never refused.
"""

from collections.abc import Sequence

import msgspec

from webhook import pins
from webhook.annotations import is_asking, parse
from webhook.catalog import Catalog
from webhook.errors import Refusal
from webhook.injection import Injection, inject
from webhook.patch import Operation, add, escape
from webhook.pins import PINNED, Pin, Pins
from webhook.pod import Pod
from webhook.request import ModelRequest
from webhook.settings import Settings
from webhook.workload import Change


def pin(change: Change, namespace: str, settings: Settings, catalog: Catalog) -> Injection:
    """What has to be done to a workload. Raises Unread where the catalog has to look at S3 before it can answer."""
    misplaced = _misplaced(change, settings)
    if change.keeps_template:
        return Injection("unchanged", "TemplateUnchanged", warnings=misplaced)
    template = change.new.template
    try:
        asked = parse(template.metadata.annotations or {}, settings).models
        floating = [model for model in asked if pins.is_floating(model)]
        wanted, kept = _wanted(change, floating, settings, catalog)
    except Refusal as refusal:
        return _advice(change, misplaced, str(refusal))
    operations = _operations(change, wanted, settings) if floating else []
    outcome = inject(_with_pins(template, wanted, settings) if floating else template, namespace, settings, catalog)
    if outcome.decision == "refused":
        return _advice(change, (*misplaced, *outcome.warnings), outcome.message)
    warnings = (*misplaced, *kept, *outcome.warnings)
    if outcome.decision == "skipped":
        return Injection("skipped", outcome.reason, warnings=warnings)
    if operations:
        return Injection("pinned", "Pinned", operations=tuple(operations), warnings=warnings, models=outcome.models)
    return Injection("unchanged", "NothingToPin", warnings=warnings)


def _misplaced(change: Change, settings: Settings) -> tuple[str, ...]:
    """A warning where the workload itself has annotations that only its template makes something of."""
    new = change.new
    if not is_asking(new.annotations, settings) or is_asking(new.template.metadata.annotations or {}, settings):
        return ()
    where = f"{new.path.strip('/').replace('/', '.')}.metadata.annotations"
    return (f"{settings.annotation_prefix}/model does nothing on a {new.kind} itself: write it to {where}",)


def _advice(change: Change, warnings: tuple[str, ...], message: str) -> Injection:
    """The workload stays as it is; its author hears what its pods will meet."""
    foretold = f"pods of this {change.new.kind} will be refused: {message}"
    return Injection("unchanged", "WouldBeRefused", warnings=(*warnings, foretold))


def _wanted(
    change: Change, floating: Sequence[ModelRequest], settings: Settings, catalog: Catalog
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
                version = catalog.resolve(msgspec.structs.replace(model, pinned=None)).artifact.version
            except Refusal as refusal:
                if last is None:
                    raise
                version = last
                warnings.append(f"{model.model} stays pinned to {last}: {refusal}")
        if version is not None:
            kept.append(Pin(model.source, model.model, model.version, version))
    return Pins(tuple(kept), pins.restarted_at(annotations)), warnings


def _pins(template: Pod, settings: Settings) -> Pins:
    return pins.decode((template.metadata.annotations or {}).get(_name(settings)))


def _with_pins(template: Pod, wanted: Pins, settings: Settings) -> Pod:
    annotations = {**(template.metadata.annotations or {}), _name(settings): wanted.encode()}
    metadata = msgspec.structs.replace(template.metadata, annotations=annotations)
    return msgspec.structs.replace(template, metadata=metadata)


def _operations(change: Change, wanted: Pins, settings: Settings) -> list[Operation]:
    """Write the pins, where the template does not have them."""
    held = _pins(change.new.template, settings)
    annotations = change.new.template.metadata.annotations or {}
    if not wanted.models or (held.models == wanted.models and held.holds_for(annotations)):
        return []
    return [add(f"{change.new.path}/metadata/annotations/{escape(_name(settings))}", wanted.encode())]


def _name(settings: Settings) -> str:
    return f"{settings.annotation_prefix}/{PINNED}"
