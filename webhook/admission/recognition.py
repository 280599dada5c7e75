"""Recognizing what an earlier pass of the webhook has added to a pod.

Volumes are recognized by their source, and init containers by what they download, not by an annotation, which users
copy along with a pod. Other webhooks may have changed both, and the earlier pass may have had other settings.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from webhook.fetching.container import download_of
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Container, PodSpec
from webhook.model.refusals import Conflict

_AMOUNTS: Final = frozenset({"sizeLimit", "storage"})
"""Keys of a volume's source whose values depend on settings and are not compared."""


def missing_init_containers(spec: PodSpec, planned: Sequence[JSON]) -> list[JSON]:
    """The planned init containers that the pod lacks. Raises Conflict if another container has the name of one."""
    present = {container.name: container for container in spec.init_containers or ()}
    taken = present.keys() | {container.name for container in spec.containers or ()}
    missing = []
    for container in planned:
        name = container["name"]
        if name not in taken:
            missing.append(container)
        elif name not in present or not _is_planned(present[name], container):
            raise Conflict(
                f"the container name {name} is reserved by model-injector; rename the pod's container, or remove it if "
                "it was copied from a running pod"
            )
    return missing


def missing_volumes(spec: PodSpec, volumes: Sequence[JSON], init_containers: Sequence[JSON]) -> list[JSON]:
    """The planned volumes that the pod lacks. Raises Conflict if another volume has the name of one.

    An existing volume is the planned one if its source is the same and, for a volume that planned init containers
    fill, one of these mounts it.
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
    """Whether the pod has one of the planned init containers that mount the volume, if there are any."""
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
    """Whether an init container has the same download as the planned one. Without a download: the same command, or
    without a planned command the same image."""
    wanted = msgspec.convert(planned, Container)
    if download := download_of(wanted):
        return download_of(existing) == download
    if wanted.command or wanted.args:
        return (existing.command, existing.args) == (wanted.command, wanted.args)
    return existing.image == wanted.image


def _source(volume: JSON) -> JSON:
    return {key: value for key, value in volume.items() if key != "name"}


def covers(existing: Any, planned: Any) -> bool:
    """Whether JSON equals what was planned, apart from defaults that the API server added and empty values that it
    dropped."""
    if isinstance(planned, Mapping):
        return isinstance(existing, Mapping) and all(
            key in _AMOUNTS or covers(existing.get(key), value) for key, value in planned.items()
        )
    if isinstance(planned, list | tuple) and isinstance(existing, list):
        return len(existing) == len(planned) and all(map(covers, existing, planned))
    return bool(existing == planned or not (existing or planned))
