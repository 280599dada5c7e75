"""Finds the pod templates in an object by their shape.

A pod template is a mapping with `metadata` and a `spec` that has `containers`, at any path. This covers Kubernetes' own
workloads and most custom resources. Some kinds inline the fields of a pod's spec in their own; then the annotations are
next to the containers.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from webhook.kubernetes.patch import Operation, escape
from webhook.preview.documents import Document
from webhook.preview.errors import ManifestTooLarge

MOST_TEMPLATES: Final = 64
"""Templates in one object. A RayCluster has one for each group of workers."""
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
"""Fields of a predictor that KServe converts to a container and merges with the container of the serving runtime."""
_NOT_WITHIN: Final = frozenset({"containers", "initContainers", "volumes", "metadata", *_METADATA, *_KSERVE_MODELS})
"""Fields next to an inlined pod spec that cannot contain further pod templates."""


class Template(msgspec.Struct, frozen=True):
    """One pod template of an object."""

    path: str
    """The JSON Pointer of the template in the object; empty for a Pod."""
    pod: dict[str, Any]
    """The pod, as a controller would create it."""
    places: tuple[tuple[str, str], ...]
    """Pairs of JSON Pointers: a part of the pod, and the same part in the object. More specific pairs come first."""
    has_volumes: bool = True
    """Whether the template has a list of volumes. `pod` may have volumes without it, from a StatefulSet's claims."""

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The pod's annotations, with values of any type; empty if there are none."""
        metadata = self.pod.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        return annotations if isinstance(annotations, dict) else {}

    def in_object(self, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        """Operations on the pod as operations on the object."""
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
        """The JSON Pointer in the object for a JSON Pointer in the pod."""
        in_pod, in_object = next(pair for pair in self.places if path == pair[0] or path.startswith(f"{pair[0]}/"))
        return in_object + path.removeprefix(in_pod)


def templates(document: Document) -> list[Template]:
    """The pod templates in a document in their order. Raises ManifestTooLarge for more than MOST_TEMPLATES."""
    if document.kind == "Pod" and document.group_version == "v1":
        return [Template("", document.value, (("", ""),))]
    pod_templates = list(islice(_within(document.value, "", document), MOST_TEMPLATES + 1))
    if len(pod_templates) > MOST_TEMPLATES:
        raise ManifestTooLarge(
            f"{document.kind} {document.name} has more than {MOST_TEMPLATES} pod templates; split it"
        )
    return pod_templates


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
    ] + [volume for volume in own or () if not isinstance(volume, dict) or volume.get("name") not in claims]
    pod = _pod(metadata, {**spec, "volumes": volumes}, document)
    return Template(path, pod, (("", path),), has_volumes=isinstance(own, list))


def _claims(document: Document) -> list[str]:
    """The names of a StatefulSet's claims. Its controller adds a volume with that name to each pod."""
    spec = document.value.get("spec")
    if (document.group, document.kind) != ("apps", "StatefulSet") or not isinstance(spec, dict):
        return []
    claims = [claim.get("metadata") for claim in spec.get("volumeClaimTemplates") or () if isinstance(claim, dict)]
    return [
        metadata["name"] for metadata in claims if isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
    ]


def hands_down(document: Document) -> bool:
    """Whether the controller of an object copies the object's annotations to its pods."""
    return (document.group, document.kind) == _INFERENCE_SERVICE


def _inline(value: dict[str, Any], path: str, document: Document) -> Template | None:
    """The template of a pod spec inlined in `value`. None without one, or if the path of its annotations is unknown."""
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
    """The pod spec, and the pair of JSON Pointers of its container if that is not in `containers`."""
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
    """The JSON Pointer of the mapping that has the annotations, None if it is unknown; and the pod's metadata."""
    if path and isinstance(own := value.get("metadata"), dict):
        return f"{path}/metadata", own
    adjacent = {name: value[name] for name in _METADATA if isinstance(value.get(name), dict)}
    if "annotations" in adjacent or (document.group, document.kind) in _RUNTIMES:
        return path, adjacent
    return "/metadata" if hands_down(document) else None, adjacent


def _has_containers(spec: dict[str, Any]) -> bool:
    containers = spec.get("containers")
    return isinstance(containers, list) and bool(containers) and all(map(_is_container, containers))


def _is_container(value: object) -> bool:
    """Whether a value has the shape of a container. The name may be missing, because some controllers set it."""
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
