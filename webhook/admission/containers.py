"""The mounts and environment variables that the pod's containers get, and the operations that add them."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, permutations
from typing import Final

from webhook.admission.planning import PlacedModel
from webhook.kubernetes.patch import JSON, Operation, extend
from webhook.kubernetes.pod import Container, PodSpec, VolumeMount
from webhook.model.refusals import Conflict, InvalidAnnotation

MESH_PROXIES: Final = frozenset({"istio-proxy", "linkerd-proxy", "consul-dataplane", "kuma-sidecar"})
"""Containers that service meshes add to a pod. They are not the application, and get no models."""


def attach(spec: PodSpec, models: Sequence[PlacedModel]) -> list[Operation]:
    """The operations that give each chosen container its mounts and its environment.

    Raises InvalidAnnotation where a container is chosen that the pod does not have, and Conflict where one has
    something else at a path that a model needs.
    """
    groups = {"containers": spec.containers or (), "initContainers": spec.init_containers or ()}
    names = {container.name for container in chain.from_iterable(groups.values())}
    application = {container.name for container in groups["containers"]}
    everywhere = application - MESH_PROXIES or application
    chosen: dict[str, list[PlacedModel]] = {}
    for model in models:
        request = model.delivery.request
        for name in request.containers or everywhere:
            if name not in names:
                allowed = f"one of the pod's containers: {', '.join(sorted(names))}"
                raise InvalidAnnotation(request.where("containers"), name, allowed)
            chosen.setdefault(name, []).append(model)
    exclusive = {model.location.volume for model in models if model.location.is_exclusive}
    roots = tuple(f"{model.delivery.request.mount_path}/" for model in models if model.delivery.request.mount_path)
    operations: list[Operation] = []
    for group, containers in groups.items():
        for index, container in enumerate(containers):
            if here := chosen.get(container.name):
                inside = tuple(
                    mount.mount_path
                    for mount in container.volume_mounts or ()
                    if mount.mount_path.startswith(roots) and mount.name not in exclusive
                )
                mounts, variables = _needs(tuple(here), tuple(models), inside)
                operations += _attach(container, f"/spec/{group}/{index}", mounts, variables)
    return operations


@lru_cache(maxsize=1024)
def _needs(
    chosen: tuple[PlacedModel, ...], everything: tuple[PlacedModel, ...], taken: tuple[str, ...]
) -> tuple[list[JSON], list[JSON]]:
    """Mounts and environment of a container. Cached: identical for all pods of a workload. Callers must not mutate the
    result."""
    return _mounts(chosen, everything, taken), _environment(chosen, len(everything))


def _attach(container: Container, place: str, mounts: Sequence[JSON], variables: Sequence[JSON]) -> list[Operation]:
    present = {variable.name for variable in container.env or ()}
    missing = [mount for mount in mounts if not _is_mounted(mount, container)]
    return [
        *extend(f"{place}/volumeMounts", container.volume_mounts, missing),
        # In front, so that the container's own variables can refer to them as $(MODEL_PATH).
        *extend(
            f"{place}/env", container.env, [variable for variable in variables if variable["name"] not in present], at=0
        ),
    ]


def _inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/") and path.rstrip("/") != folder.rstrip("/")


def _mounts(chosen: Sequence[PlacedModel], everything: Sequence[PlacedModel], taken: Sequence[str]) -> list[JSON]:
    """The mounts of one container, which mounts other volumes at the paths `taken`.

    A mount path shows only the models that are asked for there: the whole volume is mounted where it holds just those,
    and each model's folder otherwise. Also each folder where something else is mounted inside: no runtime can create a
    mount point in a volume that is mounted read-only.
    """
    by_path: dict[str, list[PlacedModel]] = {}
    mounts = []
    for model in chosen:
        request = model.delivery.request
        if request.mount_path:
            by_path.setdefault(request.mount_path, []).append(model)
        if request.model_path:
            mounts.append(_folder_mount(model, request.model_path))
    others = (*taken, *by_path, *(mount["mountPath"] for mount in mounts))
    for path, here in by_path.items():
        if _fill_their_volume(here, everything) and not any(_inside(other, path) for other in others):
            mounts.append(_mount(here[0], path))
        else:
            mounts += [_folder_mount(model, f"{path}/{model.delivery.artifact.folder}") for model in here]
    for path, other in permutations([mount["mountPath"] for mount in mounts], 2):
        if path == other or _inside(path, other):
            raise Conflict(f"models would be mounted at {path} and at {other}; give them paths apart from each other")
    return mounts


def _fill_their_volume(here: Sequence[PlacedModel], everything: Sequence[PlacedModel]) -> bool:
    """Whether mounting their volume whole shows each of them at its path, and nothing else."""
    volumes = {model.location.volume for model in here}
    return (
        len(volumes) == 1
        and here[0].location.is_exclusive
        and all(model.location.sub_path == model.delivery.artifact.folder for model in here)
        and len({model.delivery.request.read_only for model in here}) == 1
        and len(here) == sum(model.location.volume in volumes for model in everything)
    )


def _mount(model: PlacedModel, path: str) -> JSON:
    mount: JSON = {"name": model.location.volume, "mountPath": path}
    return {**mount, "readOnly": True} if model.delivery.request.read_only else mount


def _folder_mount(model: PlacedModel, path: str) -> JSON:
    """The mount of a model's own folder, which may be the whole volume."""
    mount = _mount(model, path)
    return {**mount, "subPath": model.location.sub_path} if model.location.sub_path else mount


def _is_mounted(wanted: JSON, container: Container) -> bool:
    """Whether the container has this mount already. Raises Conflict where another one is in its way."""
    path = wanted["mountPath"]
    for mount in container.volume_mounts or ():
        other = mount.mount_path.rstrip("/")
        if other == path:
            if (mount.name, mount.sub_path, mount.sub_path_expr) == (wanted["name"], wanted.get("subPath", ""), ""):
                return True
            raise _in_the_way(container, mount, "where the model has to stand")
        if other.startswith(f"{path}/"):
            raise _in_the_way(container, mount, f"inside of the model's {path}")
        if mount.read_only and path.startswith(f"{other}/"):
            raise _in_the_way(container, mount, f"read-only, so nothing can be mounted inside of it at {path}")
    return False


def _in_the_way(container: Container, mount: VolumeMount, why: str) -> Conflict:
    return Conflict(
        f"container {container.name} mounts its volume {mount.name} at {mount.mount_path}, {why}; choose another path "
        "with the annotation mount-path or model-path"
    )


def _environment(chosen: Sequence[PlacedModel], models: int) -> list[JSON]:
    """MODEL_PATH and so on where the pod asks for one model, MODEL_<NAME>_PATH where it asks for several."""
    variables: list[JSON] = []
    for model in chosen:
        delivery = model.delivery
        name = "MODEL" if models == 1 else f"MODEL_{delivery.slug.upper().replace('-', '_')}"
        variables += (
            {"name": f"{name}_PATH", "value": model.path},
            {"name": f"{name}_NAME", "value": delivery.artifact.model},
            {"name": f"{name}_VERSION", "value": delivery.artifact.version},
        )
    return variables
