"""The pods that an object makes: where their templates stand in it, by their shape.

A pod template is `metadata` and `spec` with `containers`, wherever it stands: in Kubernetes' own workloads, and in
kinds that nobody has told this program of. Some kinds write a pod's spec right into their own; then the annotations
stand beside the containers.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from webhook.errors import BodyTooLarge
from webhook.patch import Operation, escape
from webhook.preview.documents import Document

MOST_TEMPLATES: Final = 64
"""Of one object. A Ray cluster has one for each group of workers."""
_METADATA: Final = ("annotations", "labels")
_INFERENCE_SERVICE: Final = ("serving.kserve.io", "InferenceService")
_KSERVE_CONTAINER: Final = "kserve-container"


class Template(msgspec.Struct, frozen=True):
    """One pod that an object makes."""

    path: str
    """The JSON pointer of its template in the object; empty for a Pod."""
    pod: dict[str, Any]
    """The pod, as a controller would create it."""
    places: tuple[tuple[str, str], ...]
    """Where parts of the pod stand in the object: JSON pointers of both, the longer ones of the pod's first."""

    def in_object(self, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        """Operations on the pod, as operations on the object that it comes from."""
        return tuple({**operation, "path": self.in_object_at(operation["path"])} for operation in operations)

    def in_object_at(self, path: str) -> str:
        """Where in the object a place of the pod stands; JSON pointers both."""
        pod, ours = next(place for place in self.places if path == place[0] or path.startswith(f"{place[0]}/"))
        return ours + path.removeprefix(pod)


def templates(document: Document) -> list[Template]:
    """The templates in a document, in its order. Raises BodyTooLarge where there are more than MOST_TEMPLATES."""
    if document.kind == "Pod" and document.group_version == "v1":
        return [Template("", document.value, (("", ""),))]
    found = list(islice(_within(document.value, "", document), MOST_TEMPLATES + 1))
    if len(found) > MOST_TEMPLATES:
        raise BodyTooLarge(f"{document.kind} {document.name} has more than {MOST_TEMPLATES} pod templates")
    return found


def _within(value: object, path: str, document: Document) -> Iterator[Template]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _within(item, f"{path}/{index}", document)
    elif isinstance(value, dict):
        if template := _template(value, path, document):
            yield template
            return
        for key, child in value.items():
            yield from _within(child, f"{path}/{escape(key)}", document)


def _template(value: dict[str, Any], path: str, document: Document) -> Template | None:
    metadata, spec = value.get("metadata"), value.get("spec")
    if path and isinstance(spec, dict) and _has_containers(spec) and isinstance(metadata, dict | None):
        return Template(path, _pod(metadata or {}, spec, document), (("", path),))
    if _has_containers(value):
        return _inline(value, path, document)
    model = value.get("model")
    if hands_down(document) and isinstance(model, dict) and "modelFormat" in model:
        # KServe makes a container of it, and merges it with the runtime's.
        container = {**model, "name": model.get("name") or _KSERVE_CONTAINER}
        return _inline({**value, "containers": [container]}, path, document, ("/spec/containers/0", f"{path}/model"))
    return None


def hands_down(document: Document) -> bool:
    """Whether an object's own annotations become its pods'."""
    return (document.group_version.partition("/")[0], document.kind) == _INFERENCE_SERVICE


def _inline(spec: dict[str, Any], path: str, document: Document, *places: tuple[str, str]) -> Template:
    """A pod's spec that stands in another's: its annotations beside its containers, or on the object itself."""
    metadata = {name: spec[name] for name in _METADATA if isinstance(spec.get(name), dict)}
    annotated = path
    if hands_down(document) and isinstance(inherited := document.metadata.get("annotations"), dict):
        annotated = path if "annotations" in metadata else "/metadata"
        metadata["annotations"] = {**inherited, **metadata.get("annotations", {})}
    rest = {name: value for name, value in spec.items() if name not in _METADATA}
    return Template(path, _pod(metadata, rest, document), (*places, ("/metadata", annotated), ("/spec", path)))


def _has_containers(spec: dict[str, Any]) -> bool:
    containers = spec.get("containers")
    return (
        isinstance(containers, list)
        and bool(containers)
        and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in containers)
    )


def _pod(metadata: Mapping[str, Any], spec: Mapping[str, Any], document: Document) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **({"generateName": f"{document.name}-"} if document.name else {})},
        "spec": {**spec},
    }
