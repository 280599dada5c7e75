"""Warnings about annotations that request a model in a place that no pod inherits them from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webhook.admission import pinning
from webhook.annotations.parsing import is_asking
from webhook.kubernetes.patch import escape
from webhook.preview.documents import Document
from webhook.preview.operators import passes_on_its_own
from webhook.preview.templates import Template
from webhook.settings import Settings

_OWN = "/metadata/annotations"


def misplaced(document: Document, pods: Sequence[Template], settings: Settings) -> Iterator[str]:
    """A warning for each mapping of annotations in an object that requests a model without effect.

    `pods` are the object's pod templates.
    """
    effective = {template.in_object_at(_OWN) for template in pods}
    effective |= {f"{place}/annotations" for template in pods for place in template.annotated}
    pods_ask = any(is_asking(template.annotations, settings) for template in pods)
    for path, annotations in _annotations(document.value, ""):
        if path in effective or not is_asking(annotations, settings) or (path == _OWN and pods_ask):
            continue
        if path == _OWN and passes_on_its_own(document):
            if not pods:
                yield f"whether the pods of this {document.kind} are admitted is unknown: the manifest lacks their spec"
        elif path == _OWN and pods:
            yield from pinning.misplaced(document.kind, annotations, pods[0].in_object_at(_OWN), settings)
        else:
            where = f"on a {document.kind}" if path == _OWN else f"at {path.strip('/').replace('/', '.')}"
            exception = "" if document.is_of_kubernetes else f", unless the controller of {document.kind} copies it"
            problem = f"{settings.annotation_prefix}/model does nothing {where}{exception}"
            yield f"{problem}: no pod template was found there; move it to one"


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
