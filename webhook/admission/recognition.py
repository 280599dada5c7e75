"""What an earlier pass of the webhook has put into a pod.

Volumes are recognised by their source, and init containers by what they download, never by an annotation alone: it is
copied along with a pod. Other webhooks may have added to both, and a replica with other settings may have made them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from webhook.fetching.container import download_of
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Container, PodSpec
from webhook.model.refusals import Conflict

_AMOUNTS: Final = frozenset({"sizeLimit", "storage"})
"""Keys of a volume's source whose value a replica with other settings may have chosen differently."""


def missing_init_containers(spec: PodSpec, planned: Sequence[JSON]) -> list[JSON]:
    """The planned init containers that the pod lacks. Raises Conflict where another container has such a name."""
    present = {container.name: container for container in spec.init_containers or ()}
    taken = present.keys() | {container.name for container in spec.containers or ()}
    missing = []
    for container in planned:
        name = container["name"]
        if name not in taken:
            missing.append(container)
        elif name not in present or not _is_planned(present[name], container):
            raise Conflict(
                f"the pod has a container {name} already, and it is not the one that its model needs; rename it, or "
                "remove it where it was copied from a running pod"
            )
    return missing


def missing_volumes(spec: PodSpec, volumes: Sequence[JSON], init_containers: Sequence[JSON]) -> list[JSON]:
    """The planned volumes that the pod lacks. Raises Conflict where another volume has such a name.

    A volume that planned init containers fill is the planned one only if one of them mounts it already.
    """
    present = {volume.name: volume for volume in spec.volumes or ()}
    missing = []
    for volume in volumes:
        name = volume["name"]
        if name not in present:
            missing.append(volume)
        elif not _is_filled(name, spec, init_containers) or not covers(present[name].source, _source(volume)):
            raise Conflict(
                f"the volume name {name} is reserved by model-injector; rename the pod's volume, or download into it "
                "with the annotation volume"
            )
    return missing


def _is_filled(volume: str, spec: PodSpec, planned: Sequence[JSON]) -> bool:
    """Whether a planned init container mounts a volume of the pod; also where no planned one would."""
    fillers = {
        container["name"]
        for container in planned
        if any(mount["name"] == volume for mount in container.get("volumeMounts", ()))
    }
    return not fillers or any(
        mount.name == volume
        for container in spec.init_containers or ()
        if container.name in fillers
        for mount in container.volume_mounts or ()
    )


def _is_planned(existing: Container, planned: JSON) -> bool:
    """Whether an init container downloads what the planned one does; of one that runs something else, whether it runs
    the same command, or the same image where the plan names no command."""
    wanted = msgspec.convert(planned, Container)
    if download := download_of(wanted):
        return download_of(existing) == download
    if wanted.command or wanted.args:
        return (existing.command, existing.args) == (wanted.command, wanted.args)
    return existing.image == wanted.image


def _source(volume: JSON) -> JSON:
    return {key: value for key, value in volume.items() if key != "name"}


def covers(existing: Any, planned: Any) -> bool:
    """Whether JSON is what was planned, after the API server has added defaults and dropped empty values."""
    if isinstance(planned, Mapping):
        return isinstance(existing, Mapping) and all(
            key in _AMOUNTS or covers(existing.get(key), value) for key, value in planned.items()
        )
    if isinstance(planned, list | tuple) and isinstance(existing, list):
        return len(existing) == len(planned) and all(map(covers, existing, planned))
    return bool(existing == planned or not (existing or planned))
