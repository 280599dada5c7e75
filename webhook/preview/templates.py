"""The pods that an object makes: where their templates stand in it, by their shape.

A pod template is `metadata` and `spec` with `containers`, wherever it stands: in Kubernetes' own workloads, and in
kinds that nobody has told this program of. Some kinds write a pod's spec right into their own; then the annotations
stand beside the containers.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from webhook.kubernetes.patch import Operation, escape
from webhook.preview.documents import Document
from webhook.preview.errors import ManifestTooLarge

MOST_TEMPLATES: Final = 64
"""Of one object. A Ray cluster has one for each group of workers."""
_VOLUMES: Final = "/spec/volumes"
_METADATA: Final = ("annotations", "labels")
_INFERENCE_SERVICE: Final = ("serving.kserve.io", "InferenceService")
_RUNTIMES: Final = {("serving.kserve.io", "ServingRuntime"), ("serving.kserve.io", "ClusterServingRuntime")}
_KSERVE_CONTAINER: Final = "kserve-container"
_PREDICTOR: Final = "/spec/predictor"
_KSERVE_MODELS: Final = (
    "model",
    *("huggingface", "lightgbm", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow", "triton", "xgboost"),
)
"""Fields of a predictor that KServe makes a container of, and merges with its runtime's."""
_NOT_WITHIN: Final = frozenset({"containers", "initContainers", "volumes", "metadata", *_METADATA, *_KSERVE_MODELS})
"""Fields of a pod's spec in another's that hold no further ones."""


class Template(msgspec.Struct, frozen=True):
    """One pod that an object makes."""

    path: str
    """The JSON pointer of its template in the object; empty for a Pod."""
    pod: dict[str, Any]
    """The pod, as a controller would create it."""
    places: tuple[tuple[str, str], ...]
    """Where parts of the pod stand in the object: JSON pointers of both, the longer ones of the pod's first."""
    has_volumes: bool = True
    """Whether the template has a list of volumes. A StatefulSet's pods have its claims all the same."""

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The pod's annotations, as they are written."""
        metadata = self.pod.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        return annotations if isinstance(annotations, dict) else {}

    def in_object(self, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        """Operations on the pod, as operations on the object that it comes from."""
        has_volumes, moved = self.has_volumes, list[Operation]()
        for operation in operations:
            path = self.in_object_at(operation["path"])
            if operation["path"] == f"{_VOLUMES}/-" and not has_volumes:
                has_volumes = True
                moved.append({**operation, "path": path.removesuffix("/-"), "value": [operation["value"]]})
            else:
                moved.append({**operation, "path": path})
        return tuple(moved)

    def in_object_at(self, path: str) -> str:
        """Where in the object a place of the pod stands; JSON pointers both."""
        pod, ours = next(place for place in self.places if path == place[0] or path.startswith(f"{place[0]}/"))
        return ours + path.removeprefix(pod)


def templates(document: Document) -> list[Template]:
    """The templates in a document, in its order. Raises ManifestTooLarge where there are more than MOST_TEMPLATES."""
    if document.kind == "Pod" and document.group_version == "v1":
        return [Template("", document.value, (("", ""),))]
    found = list(islice(_within(document.value, "", document), MOST_TEMPLATES + 1))
    if len(found) > MOST_TEMPLATES:
        raise ManifestTooLarge(f"{document.kind} {document.name} has more than {MOST_TEMPLATES} pod templates")
    return found


def _within(value: object, path: str, document: Document) -> Iterator[Template]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _within(item, f"{path}/{index}", document)
    elif isinstance(value, dict):
        spec, metadata = value.get("spec"), value.get("metadata")
        if path and isinstance(spec, dict) and _has_containers(spec) and isinstance(metadata, dict | None):
            yield _template(path, metadata or {}, spec, document)
            return
        inline = _inline(value, path, document)
        if inline:
            yield inline
        for key, child in value.items():
            if not inline or key not in _NOT_WITHIN:
                yield from _within(child, f"{path}/{escape(key)}", document)


def _template(path: str, metadata: dict[str, Any], spec: dict[str, Any], document: Document) -> Template:
    claims = _claims(document)
    if not claims:
        return Template(path, _pod(metadata, spec, document), (("", path),))
    own = spec.get("volumes")
    volumes = [
        {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{document.name}-0"}} for name in claims
    ] + [each for each in own or () if not isinstance(each, dict) or each.get("name") not in claims]
    pod = _pod(metadata, {**spec, "volumes": volumes}, document)
    return Template(path, pod, (("", path),), has_volumes=isinstance(own, list))


def _claims(document: Document) -> list[str]:
    """The names of a StatefulSet's claims: its controller gives each pod a volume of that name."""
    spec = document.value.get("spec")
    if (document.group, document.kind) != ("apps", "StatefulSet") or not isinstance(spec, dict):
        return []
    found = [each.get("metadata") for each in spec.get("volumeClaimTemplates") or () if isinstance(each, dict)]
    return [each["name"] for each in found if isinstance(each, dict) and isinstance(each.get("name"), str)]


def hands_down(document: Document) -> bool:
    """Whether an object's own annotations become its pods'."""
    return (document.group, document.kind) == _INFERENCE_SERVICE


def _inline(value: dict[str, Any], path: str, document: Document) -> Template | None:
    """A pod's spec that stands in another's. None where there is none, or nobody knows its annotations' place."""
    spec, places = _inline_spec(value, path, document)
    annotated, metadata = _inline_metadata(value, path, document)
    if spec is None or annotated is None:
        return None
    if hands_down(document) and isinstance(inherited := document.metadata.get("annotations"), dict):
        metadata = {**metadata, "annotations": {**inherited, **metadata.get("annotations", {})}}
    rest = {name: child for name, child in spec.items() if name not in (*_METADATA, "metadata")}
    return Template(path, _pod(metadata, rest, document), (*places, ("/metadata", annotated), ("/spec", path)))


def _inline_spec(
    value: dict[str, Any], path: str, document: Document
) -> tuple[dict[str, Any] | None, tuple[tuple[str, str], ...]]:
    """The spec, and where its container stands if that is not among `containers`."""
    if _has_containers(value):
        return value, ()
    if _is_container(value.get("container")):  # a step of Argo Workflows
        return {**value, "containers": [value["container"]]}, (("/spec/containers/0", f"{path}/container"),)
    if hands_down(document) and path == _PREDICTOR:
        for name in _KSERVE_MODELS:
            if isinstance(model := value.get(name), dict):
                container = {**model, "name": model.get("name") or _KSERVE_CONTAINER}
                return {**value, "containers": [container]}, (("/spec/containers/0", f"{path}/{name}"),)
    return None, ()


def _inline_metadata(value: dict[str, Any], path: str, document: Document) -> tuple[str | None, dict[str, Any]]:
    """Where its annotations stand, and all there is of its metadata."""
    if path and isinstance(own := value.get("metadata"), dict):
        return f"{path}/metadata", own
    beside = {name: value[name] for name in _METADATA if isinstance(value.get(name), dict)}
    if "annotations" in beside or (document.group, document.kind) in _RUNTIMES:
        return path, beside
    return "/metadata" if hands_down(document) else None, beside


def _has_containers(spec: dict[str, Any]) -> bool:
    containers = spec.get("containers")
    return isinstance(containers, list) and bool(containers) and all(map(_is_container, containers))


def _is_container(value: object) -> bool:
    """Whether this looks like one. Some kinds name their containers themselves."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str | None)
        and (isinstance(value.get("image"), str) or "name" in value)
    )


def _pod(metadata: Mapping[str, Any], spec: Mapping[str, Any], document: Document) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **({"generateName": f"{document.name}-"} if document.name else {})},
        "spec": {**spec},
    }
