"""The volume mounts and environment variables of the pod's containers, and the operations that add them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import permutations
from typing import TypeAlias

from webhook.admission.planning import PlacedModel
from webhook.kubernetes.mesh import MESH_PROXIES
from webhook.kubernetes.mount_paths import is_parent, why_reserved
from webhook.kubernetes.patch import JSON, Operation, extend
from webhook.kubernetes.pod import Container, PodSpec, Volume, VolumeMount
from webhook.kubernetes.volumes import why_not_inside
from webhook.model.refusals import Conflict, InvalidAnnotation
from webhook.model.request import ModelRequest

_Kind: TypeAlias = tuple[str, bool | None, bool]
"""A volume, whether it is mounted read-only, and whether by a subPath."""


def attach(spec: PodSpec, models: Sequence[PlacedModel]) -> list[Operation]:
    """The operations that add mounts and environment variables to each container that gets a model.

    Raises InvalidAnnotation if the pod lacks a named container, and Conflict if a container uses a path of a model.
    """
    chosen = _choose(spec, models)
    exclusive = {model.location.volume for model in models if model.location.is_exclusive}
    parents = [model.delivery.request.mount_path for model in models]
    roots = tuple([f"{parent}/" for parent in parents if parent])
    volumes = {volume.name: volume for volume in spec.volumes or ()}
    usable: set[_Kind] = set()
    operations: list[Operation] = []
    for group, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for index, container in enumerate(containers or ()):
            if wanted := chosen.get(container.name):
                inside = [
                    mount.mount_path
                    for mount in container.volume_mounts or ()
                    if mount.mount_path.startswith(roots) and mount.name not in exclusive
                ]
                mounts, variables = _needs(tuple(wanted), tuple(models), tuple(inside))
                missing = [mount for mount in mounts if not _is_mounted(mount, container, volumes, usable)]
                operations += _attach(container, f"/spec/{group}/{index}", missing, variables)
    return operations


def _choose(spec: PodSpec, models: Sequence[PlacedModel]) -> dict[str, list[PlacedModel]]:
    """The models that each container gets, by the container's name. Raises InvalidAnnotation."""
    app_containers = [container.name for container in spec.containers or ()]
    by_default = [name for name in app_containers if name not in MESH_PROXIES] or app_containers
    names = {*app_containers, *[container.name for container in spec.init_containers or ()]}
    chosen: dict[str, list[PlacedModel]] = {}
    for model in models:
        request = model.delivery.request
        for name in request.containers or by_default:
            if name not in names:
                allowed = f"one of the pod's containers: {', '.join(sorted(names))}"
                raise InvalidAnnotation(request.where("containers"), name, allowed)
            chosen.setdefault(name, []).append(model)
    return chosen


@lru_cache(maxsize=1024)
def _needs(
    chosen: tuple[PlacedModel, ...], everything: tuple[PlacedModel, ...], taken: tuple[str, ...]
) -> tuple[list[JSON], list[JSON]]:
    """The mounts and the environment variables of a container.

    Cached, because they are identical for all pods of a workload. Callers must not mutate the result.
    """
    return _mounts(chosen, everything, taken), _environment(chosen)


def _attach(container: Container, path: str, mounts: Sequence[JSON], variables: Sequence[JSON]) -> list[Operation]:
    present = {variable.name for variable in container.env or ()}
    missing_variables = [variable for variable in variables if variable["name"] not in present]
    return [
        *extend(f"{path}/volumeMounts", container.volume_mounts, mounts),
        # First, so that the container's other variables can refer to them as $(MODEL_PATH).
        *extend(f"{path}/env", container.env, missing_variables, at=0),
    ]


def _inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/") and path.rstrip("/") != folder.rstrip("/")


def _mounts(chosen: Sequence[PlacedModel], everything: Sequence[PlacedModel], taken: Sequence[str]) -> list[JSON]:
    """The mounts of one container, which mounts other volumes at the paths `taken`.

    A mount path shows only the models that are asked for there. If the volume has no other models, it is mounted as a
    whole; otherwise, each model's folder is mounted. Folders are also mounted separately if another mount is inside,
    because a container runtime cannot create a mount point in a read-only volume. Raises InvalidAnnotation for a path
    that is reserved, and Conflict for paths that overlap.
    """
    by_path: dict[str, list[PlacedModel]] = {}
    mounts = []
    for model in chosen:
        request = model.delivery.request
        if request.mount_path:
            if not is_parent(request.mount_path):
                _check_path(request, "mount-path", request.mount_path)
            by_path.setdefault(request.mount_path, []).append(model)
        if request.model_path:
            _check_path(request, "model-path", request.model_path)
            mounts.append(_folder_mount(model, request.model_path))
    others = (*taken, *by_path, *(mount["mountPath"] for mount in mounts))
    for path, models in by_path.items():
        is_shared = is_parent(path) or any(_inside(other, path) for other in others)
        if _fill_their_volume(models, everything) and not is_shared:
            mounts.append(_mount(models[0], path))
        else:
            mounts += [_folder_mount(model, f"{path}/{model.delivery.artifact.folder}") for model in models]
    for path, other in permutations([mount["mountPath"] for mount in mounts], 2):
        if path == other or _inside(path, other):
            raise Conflict(f"models would be mounted at {path} and at {other}; choose paths that do not overlap")
    return mounts


def _check_path(request: ModelRequest, annotation: str, path: str) -> None:
    if reason := why_reserved(path):
        raise InvalidAnnotation(request.where(annotation), path, f"another path, because {reason}")


def _fill_their_volume(models: Sequence[PlacedModel], everything: Sequence[PlacedModel]) -> bool:
    """Whether mounting the models' volume as a whole shows exactly these models, each at its path."""
    volumes = {model.location.volume for model in models}
    return (
        len(volumes) == 1
        and models[0].location.is_exclusive
        and all(model.location.sub_path == model.delivery.artifact.folder for model in models)
        and len({model.delivery.request.read_only for model in models}) == 1
        and len(models) == sum(model.location.volume in volumes for model in everything)
    )


def _mount(model: PlacedModel, path: str) -> JSON:
    mount: JSON = {"name": model.location.volume, "mountPath": path}
    return {**mount, "readOnly": True} if model.delivery.request.read_only else mount


def _folder_mount(model: PlacedModel, path: str) -> JSON:
    """The mount of a model's folder, which may be the whole volume."""
    mount = _mount(model, path)
    return {**mount, "subPath": model.location.sub_path} if model.location.sub_path else mount


def _is_mounted(wanted: JSON, container: Container, volumes: Mapping[str, Volume], usable: set[_Kind]) -> bool:
    """Whether the container has this mount already. Raises Conflict if another mount overlaps with it.

    `usable` collects the kinds of mounts inside of which others can be mounted, so that each is examined once in a pod.
    """
    path = wanted["mountPath"]
    parent: VolumeMount | None = None
    for mount in container.volume_mounts or ():
        other = mount.mount_path.rstrip("/")
        if other == path:
            if (mount.name, mount.sub_path, mount.sub_path_expr) == (wanted["name"], wanted.get("subPath", ""), ""):
                return True
            raise _conflict(container, mount, "which is the path of the model")
        if other.startswith(f"{path}/"):
            raise _conflict(container, mount, f"which is inside the model's path {path}")
        if path.startswith(f"{other}/") and (parent is None or len(other) >= len(parent.mount_path.rstrip("/"))):
            parent = mount
    if parent:
        kind = parent.name, parent.read_only, bool(parent.sub_path or parent.sub_path_expr)
        if kind not in usable and (problem := why_not_inside(parent, volumes.get(parent.name))):
            raise _conflict(container, parent, f"{problem}, so nothing can be mounted inside it at {path}")
        usable.add(kind)
    return False


def _conflict(container: Container, mount: VolumeMount, problem: str) -> Conflict:
    return Conflict(
        f"container {container.name} mounts the volume {mount.name} at {mount.mount_path}, {problem}; choose another "
        "path with the annotation mount-path or model-path"
    )


def _environment(chosen: Sequence[PlacedModel]) -> list[JSON]:
    """MODEL_PATH, MODEL_NAME and MODEL_VERSION for a model, or MODEL_<NAME>_PATH etc. if models share the prefix.

    Raises Conflict if two models would set the same variable.
    """
    variables: dict[str, str] = {}
    for model in chosen:
        delivery = model.delivery
        request, name = delivery.request, delivery.request.env_prefix
        if not name:
            continue
        if request.shares_env_prefix:
            name += f"_{delivery.slug.upper().replace('-', '_')}"
        if f"{name}_PATH" in variables:
            where = request.where("env-prefix")
            raise Conflict(f"{where}: another model sets the variable {name}_PATH, too; write another prefix")
        variables[f"{name}_PATH"] = model.path
        variables[f"{name}_NAME"] = delivery.artifact.model
        variables[f"{name}_VERSION"] = delivery.artifact.version
    return [{"name": name, "value": value} for name, value in variables.items()]
