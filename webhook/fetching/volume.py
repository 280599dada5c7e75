"""The volume that a model is downloaded into: one of the pod's own, and how large it has to be."""

from typing import Final

from webhook.fetching.options import FetchOptions
from webhook.kubernetes.pod import PodSpec, Volume
from webhook.kubernetes.volumes import why_read_only
from webhook.model.artifact import Artifact
from webhook.model.refusals import InvalidAnnotation
from webhook.model.request import ModelRequest

_BLOCK: Final = 4096
"""Bytes in a block of the file system, the most that a file takes on disk beyond its length."""


def size_on_disk(artifact: Artifact, object_bytes: int, headroom: int, unit: int) -> int:
    """The bytes that a volume needs for the objects of an artifact and `headroom` percent more, in whole units."""
    blocks = _BLOCK * (artifact.objects or artifact.files or 0)
    total = (object_bytes + blocks) * (100 + headroom) // 100
    return -(-total // unit) * unit


def own_volume(request: ModelRequest, options: FetchOptions, spec: PodSpec) -> Volume | None:
    """The volume that the annotation `volume` names. None without the annotation.

    Raises InvalidAnnotation if the pod has no such volume, or if no container can write files to it.
    """
    if options.volume is None:
        return None
    volumes = {volume.name: volume for volume in spec.volumes or ()}
    volume = volumes.get(options.volume)
    if volume is None:
        allowed = f"one of the pod's volumes: {', '.join(volumes)}" if volumes else "the name of a volume of the pod"
        raise InvalidAnnotation(request.where("volume"), options.volume, allowed)
    if reason := why_read_only(volume) or _block_device(spec, volume.name):
        allowed = f"the name of a volume that the init container can write files to, because {reason}"
        raise InvalidAnnotation(request.where("volume"), options.volume, allowed)
    return volume


def _block_device(spec: PodSpec, volume: str) -> str:
    """Why a volume has no file system, if a container uses it as a raw block device."""
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        if any(device.name == volume for device in container.volume_devices or ()):
            return f"container {container.name} uses it as a block device"
    return ""
