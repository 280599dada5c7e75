"""Annotations that ask for a model where no pod takes them from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webhook.admission import pinning
from webhook.annotations.parsing import is_asking
from webhook.kubernetes.patch import escape
from webhook.preview.documents import Document
from webhook.preview.templates import Template
from webhook.settings import Settings

_OWN = "/metadata/annotations"


def misplaced(document: Document, found: Sequence[Template], settings: Settings) -> Iterator[str]:
    """A warning for each place in an object that asks for a model in vain. `found` are the pods that it makes."""
    taken = {each.in_object_at(_OWN) for each in found}
    is_asked = any(is_asking(each.annotations, settings) for each in found)
    for path, annotations in _annotations(document.value, ""):
        if path in taken or not is_asking(annotations, settings) or (path == _OWN and is_asked):
            continue
        if path == _OWN and found:
            yield from pinning.misplaced(document.kind, annotations, found[0].in_object_at(_OWN), settings)
        else:
            where = f"on a {document.kind}" if path == _OWN else f"at {path.strip('/').replace('/', '.')}"
            yield f"{settings.annotation_prefix}/model does nothing {where}: no pod template is known there"


def _annotations(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping of annotations, with its place as a JSON pointer."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _annotations(item, f"{path}/{index}")
    elif isinstance(value, dict):
        for key, child in value.items():
            if key == "annotations" and isinstance(child, dict):
                yield f"{path}/annotations", child
            else:
                yield from _annotations(child, f"{path}/{escape(key)}")
