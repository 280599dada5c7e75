"""Finds the pod templates in an object by their shape.

A pod template is a mapping with `metadata` and a `spec` that has `containers`, at any path. This covers Kubernetes' own
workloads and most custom resources. Some kinds inline the fields of a pod's spec in their own; then the annotations are
next to the containers. For kinds with annotations in other places, and for pods without a template, see `operators`.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from webhook.kubernetes.operators import annotated, made_container
from webhook.kubernetes.patch import Operation, escape
from webhook.kubernetes.pod import Pod
from webhook.kubernetes.pod import decode as decode_pod
from webhook.kubernetes.unstructured import ObjectTooLarge, Unstructured, without_nulls

MOST_TEMPLATES: Final = 64
"""Templates with annotations in one object. A RayCluster has one for each group of workers."""
_VOLUMES: Final = "/spec/volumes"
_METADATA: Final = ("annotations", "labels")
_INFERENCE_SERVICE: Final = ("serving.kserve.io", "InferenceService")
_ARGO: Final = "argoproj.io"
_TEKTON: Final = "tekton.dev"
_RUNTIMES: Final = {("serving.kserve.io", "ServingRuntime"), ("serving.kserve.io", "ClusterServingRuntime")}
_KSERVE_CONTAINER: Final = "kserve-container"
_ARGO_CONTAINER: Final = "main"
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
    annotated: tuple[str, ...] = ()
    """The JSON Pointers of other mappings in the object whose `annotations` the pod gets."""
    is_made: bool = False
    """Whether a controller makes the pod's spec, so that the object has no place for its fields."""

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The pod's annotations, with values of any type; empty if there are none."""
        metadata = self.pod.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        return annotations if isinstance(annotations, dict) else {}

    @property
    def annotations_path(self) -> str:
        """The JSON Pointer in the object of the annotations that a patch adds to."""
        return self.in_object_at("/metadata/annotations")

    def decode(self) -> Pod:
        """The pod, typed. Raises InvalidObject with the JSON path of a field of the wrong type."""
        return decode_pod(msgspec.json.encode(without_nulls(self.pod)))

    def in_object(self, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        """Operations on the pod as operations on the object. None if the object has no place for the pod's fields."""
        if self.is_made:
            return ()
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


def templates(owner: Unstructured) -> list[Template]:
    """The pod templates in an object in their order. Raises ObjectTooLarge for too many with annotations."""
    if owner.kind == "Pod" and owner.group_version == "v1":
        return [Template("", owner.value, (("", ""),))]
    pod_templates = list(_within(owner.value, "", owner))
    if sum(bool(template.annotations) for template in pod_templates) > MOST_TEMPLATES:
        raise ObjectTooLarge(
            f"{owner.kind} {owner.name} has more than {MOST_TEMPLATES} pod templates with annotations; split it"
        )
    return pod_templates


def _within(value: object, path: str, owner: Unstructured) -> Iterator[Template]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _within(item, f"{path}/{index}", owner)
    elif isinstance(value, dict):
        spec, metadata = value.get("spec"), value.get("metadata")
        if path and isinstance(spec, dict) and _has_containers(spec) and isinstance(metadata, dict | None):
            yield _template(path, metadata or {}, spec, owner)
            return
        if made := _made(value, path, owner):
            yield made
            return
        inline = _inline(value, path, owner)
        if inline:
            yield inline
            value = {key: child for key, child in value.items() if key not in _NOT_WITHIN}
        yield from _within_children(value, path, owner)


def _within_children(value: dict[str, Any], path: str, owner: Unstructured) -> Iterator[Template]:
    for key, child in value.items():
        yield from _within(child, f"{path}/{escape(key)}", owner)


def _template(path: str, metadata: dict[str, Any], spec: dict[str, Any], owner: Unstructured) -> Template:
    claims = _claims(owner)
    if not claims:
        inherited = annotated(owner, path)
        sources = {**inherited, f"{path}/metadata": metadata} if metadata or not inherited else inherited
        place, merged = _with_inherited(sources, metadata)
        pod = _pod(merged, spec, owner)
        return Template(path, pod, (("/metadata", place), ("", path)), annotated=tuple(inherited))
    own = spec.get("volumes")
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{owner.name}-0"}} for name in claims] + [
        volume for volume in own or () if not isinstance(volume, dict) or volume.get("name") not in claims
    ]
    pod = _pod(metadata, {**spec, "volumes": volumes}, owner)
    return Template(path, pod, (("", path),), has_volumes=isinstance(own, list))


def _claims(owner: Unstructured) -> list[str]:
    """The names of a StatefulSet's claims. Its controller adds a volume with that name to each pod."""
    spec = owner.value.get("spec")
    if (owner.group, owner.kind) != ("apps", "StatefulSet") or not isinstance(spec, dict):
        return []
    listed = spec.get("volumeClaimTemplates")
    claims = [claim.get("metadata") for claim in listed if isinstance(claim, dict)] if isinstance(listed, list) else []
    return [
        metadata["name"] for metadata in claims if isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
    ]


def _with_inherited(places: dict[str, dict[str, Any]], metadata: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The place of the annotations that a patch adds, and the pod's metadata with the annotations of all places.

    A patch adds to existing annotations only, so the place is the last that has some, if any has.
    """
    having = {place: found["annotations"] for place, found in places.items() if _is_annotated(found)}
    if not having:
        return next(reversed(places)), metadata
    return next(reversed(having)), {**metadata, "annotations": dict(ChainMap(*reversed(having.values())))}


def _is_annotated(metadata: Mapping[str, Any]) -> bool:
    return isinstance(metadata.get("annotations"), dict)


def _made(value: dict[str, Any], path: str, owner: Unstructured) -> Template | None:
    """The template of a pod whose containers a controller makes: of the steps of a task, or of other fields."""
    steps = value.get("steps") if owner.group == _TEKTON else None
    if isinstance(steps, list) and steps and all(isinstance(step, dict) for step in steps):
        names = [f"step-{step.get('name') or f'unnamed-{index}'}" for index, step in enumerate(steps)]
    elif (name := made_container(owner, path)) and not any(_within_children(value, path, owner)):
        names = [name]
    else:
        return None
    places = annotated(owner, path)
    if isinstance(own := value.get("metadata"), dict) and path:
        places[f"{path}/metadata"] = own
    if not places:
        return None
    place, metadata = _with_inherited(places, {})
    pod = _pod(metadata, {"containers": [{"name": name} for name in names]}, owner)
    return Template(path, pod, (("/metadata", place), ("/spec", path)), annotated=tuple(places), is_made=True)


def _inline(value: dict[str, Any], path: str, owner: Unstructured) -> Template | None:
    """The template of a pod spec inlined in `value`. None without one, or if the path of its annotations is unknown."""
    spec, places = _inline_spec(value, path, owner)
    if spec is None:
        return None
    inherited, (own, metadata) = annotated(owner, path), _inline_metadata(value, path, owner)
    sources = {**inherited, own: metadata} if own is not None else inherited
    if not sources and places and owner.group == _ARGO:
        sources = {f"{path}/metadata": {}}  # where a step's annotations belong
    if not sources:
        return None
    place, metadata = _with_inherited(sources, metadata)
    rest = {name: child for name, child in spec.items() if name not in (*_METADATA, "metadata")}
    pod = _pod(metadata, rest, owner)
    return Template(path, pod, (*places, ("/metadata", place), ("/spec", path)), annotated=tuple(inherited))


def _inline_spec(
    value: dict[str, Any], path: str, owner: Unstructured
) -> tuple[dict[str, Any] | None, tuple[tuple[str, str], ...]]:
    """The pod spec, and the pair of JSON Pointers of its container if that is not in `containers`."""
    if _has_containers(value):
        return value, ()
    for name in ("container", "script"):  # of a step of Argo Workflows
        container = value.get(name)
        if isinstance(container, dict) and _is_container(container):
            main = {**container, "name": container.get("name") or _ARGO_CONTAINER}
            return {**value, "containers": [main]}, (("/spec/containers/0", f"{path}/{name}"),)
    if isinstance(several := value.get("containerSet"), dict) and _has_containers(several):
        return {**value, "containers": several["containers"]}, (
            ("/spec/containers", f"{path}/containerSet/containers"),
        )
    if (owner.group, owner.kind) == _INFERENCE_SERVICE and path == _PREDICTOR:
        for name in _KSERVE_MODELS:
            if isinstance(model := value.get(name), dict):
                container = {**model, "name": model.get("name") or _KSERVE_CONTAINER}
                return {**value, "containers": [container]}, (("/spec/containers/0", f"{path}/{name}"),)
    return None, ()


def _inline_metadata(value: dict[str, Any], path: str, owner: Unstructured) -> tuple[str | None, dict[str, Any]]:
    """The JSON Pointer of the mapping next to a pod spec that has its annotations, if any; and the pod's metadata."""
    if path and isinstance(own := value.get("metadata"), dict):
        return f"{path}/metadata", own
    adjacent = {name: value[name] for name in _METADATA if isinstance(value.get(name), dict)}
    if "annotations" in adjacent or (owner.group, owner.kind) in _RUNTIMES:
        return path, adjacent
    return None, adjacent


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


def _pod(metadata: Mapping[str, Any], spec: Mapping[str, Any], owner: Unstructured) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **({"generateName": f"{owner.name}-"} if owner.name else {})},
        "spec": {**spec},
    }
