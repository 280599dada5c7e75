"""Warnings about annotations that request a model in a place that no pod inherits them from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webhook.annotations.parsing import is_asking
from webhook.kubernetes.operators import passes_on_its_own
from webhook.kubernetes.patch import escape
from webhook.kubernetes.templates import Template
from webhook.kubernetes.unstructured import Unstructured
from webhook.settings import Settings

_OWN = "/metadata/annotations"


def misplaced(owner: Unstructured, pods: Sequence[Template], settings: Settings) -> Iterator[str]:
    """A warning for each mapping of annotations in an object that requests a model without effect.

    `pods` are the object's pod templates.
    """
    effective = {template.annotations_path for template in pods}
    effective |= {f"{place}/annotations" for template in pods for place in template.annotated}
    pods_ask = any(is_asking(template.annotations, settings) for template in pods)
    for path, annotations in _annotations(owner.value, ""):
        if path in effective or not is_asking(annotations, settings) or (path == _OWN and pods_ask):
            continue
        if path == _OWN and passes_on_its_own(owner):
            if not pods:
                yield f"whether the pods of this {owner.kind} are admitted is unknown: the manifest lacks their spec"
        elif path == _OWN and pods:
            yield from misplaced_on(owner.kind, annotations, pods[0].annotations_path, settings)
        else:
            where = f"on a {owner.kind}" if path == _OWN else f"at {path.strip('/').replace('/', '.')}"
            exception = "" if owner.is_of_kubernetes else f", unless the controller of {owner.kind} copies it"
            problem = f"{_asking(annotations, settings)} does nothing {where}{exception}"
            yield f"{problem}: no pod template was found there; move it to one"


def misplaced_on(kind: str, annotations: Mapping[str, str], where: str, settings: Settings) -> tuple[str, ...]:
    """A warning if an object itself has annotations that belong at `where`, a JSON Pointer."""
    if not is_asking(annotations, settings):
        return ()
    path = where.strip("/").replace("/", ".")
    return (f"{_asking(annotations, settings)} does nothing on a {kind} itself: write it to {path}",)


def _asking(annotations: Mapping[str, str], settings: Settings) -> str:
    """The annotation that asks for models: `models`, or else `model`."""
    models = f"{settings.annotation_prefix}/models"
    return models if models in annotations else models.removesuffix("s")


def _annotations(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping named `annotations` in an object, with its JSON Pointer."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _annotations(item, f"{path}/{index}")
    elif isinstance(value, dict):
        for key, child in value.items():
            if key == "annotations" and isinstance(child, dict):
                yield f"{path}/annotations", child
            else:
                yield from _annotations(child, f"{path}/{escape(key)}")
