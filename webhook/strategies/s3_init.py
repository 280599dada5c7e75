"""The strategy `s3-init`: an init container downloads each model from S3 into a volume of the pod."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from webhook.fetching.container import fetch_container
from webhook.fetching.headroom import PodHeadroom
from webhook.fetching.options import ANNOTATIONS, FetchOptions, Medium
from webhook.fetching.resources import Files, resources
from webhook.fetching.settings import FetchSettings
from webhook.fetching.user import ContainerUser, container_user
from webhook.fetching.volume import own_volume, size_on_disk
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import PodSpec
from webhook.kubernetes.quantities import format_bytes
from webhook.model.refusals import InvalidAnnotation
from webhook.strategies.strategy import Delivery, Location, Plan, Strategy, Target

VOLUMES: Final[dict[Medium, str]] = {"disk": "model-artifacts", "memory": "model-artifacts-memory"}
"""The name of the emptyDir volume for each medium."""

_MEBIBYTE: Final = 1 << 20


class _EmptyDir(NamedTuple):
    """An emptyDir of the pod's own."""

    name: str
    in_memory: bool


def plan(deliveries: Sequence[Delivery[FetchOptions]], target: Target, settings: FetchSettings) -> Plan:
    """An init container for each model, and an emptyDir for each medium in use.

    Raises InvalidAnnotation for `volume` if the pod has no such volume or none can write to it, and for `size-limit` if
    it is below the model's size. Raises Conflict if the pod needs another user than its mesh allows.
    """
    pod = target.pod
    users = tuple(
        [
            container_user(
                pod,
                delivery.request,
                delivery.artifact.source,
                own_volume(delivery.request, delivery.options, pod.spec),
                settings,
            )
            for delivery in deliveries
        ]
    )
    headroom = PodHeadroom.of(pod.spec, target.init_container_index)
    return _plan(tuple(deliveries), _own_empty_dirs(deliveries, pod.spec), headroom, users, settings)


@lru_cache(maxsize=256)
def _plan(
    deliveries: Sequence[Delivery[FetchOptions]],
    own: Sequence[_EmptyDir],
    headroom: PodHeadroom,
    users: Sequence[ContainerUser],
    settings: FetchSettings,
) -> Plan:
    """Cached: identical for all pods of a workload. Callers must not mutate the result."""
    media = dict.fromkeys(delivery.options.medium for delivery in deliveries if delivery.options.volume is None)
    sizes = {name: _total_size(deliveries, name, settings.size_headroom) for name in map(VOLUMES.__getitem__, media)}
    files = {name: Files(name == VOLUMES["memory"], size) for name, size in sizes.items()}
    for name, in_memory in own:
        files[name] = Files(in_memory, _total_size(deliveries, name, settings.size_headroom), is_own=True)
    return Plan(
        locations=tuple(
            Location(
                _volume(delivery.options),
                delivery.artifact.folder,
                is_exclusive=delivery.options.volume is None,
                is_writable=True,
            )
            for delivery in deliveries
        ),
        volumes=tuple(_empty_dir(medium, sizes[VOLUMES[medium]]) for medium in media),
        init_containers=tuple(
            _init_container(delivery, files.get(_volume(delivery.options)), headroom, user.uid, settings)
            for delivery, user in zip(deliveries, users, strict=True)
        ),
        warnings=(*_warnings(files, headroom), *dict.fromkeys(user.warning for user in users if user.warning)),
    )


def _init_container(
    delivery: Delivery[FetchOptions],
    files: Files | None,
    headroom: PodHeadroom,
    user: int | None,
    settings: FetchSettings,
) -> JSON:
    return fetch_container(
        name=f"fetch-{delivery.slug}",
        volume=_volume(delivery.options),
        artifact=delivery.artifact,
        options=delivery.options,
        read_only=delivery.request.read_only,
        resources=resources(delivery.request, delivery.options, files, headroom, settings.resources),
        user=user,
        settings=settings,
    )


def _warnings(files: Mapping[str, Files], headroom: PodHeadroom) -> Iterable[str]:
    for in_memory, size, is_own in files.values():
        advice = "set fetch-memory-limit" if is_own else "set size-limit"
        if in_memory:
            yield from _memory_warnings(size, headroom, advice)
        elif size is None and headroom.storage.total_limit is not None and not is_own:
            yield (
                f"the model counts towards the containers' ephemeral-storage limit of "
                f"{format_bytes(headroom.storage.total_limit)} in total; set size-limit, which raises that limit"
            )


def _memory_warnings(size: Decimal | None, headroom: PodHeadroom, advice: str) -> Iterable[str]:
    memory, limit = headroom.memory, headroom.memory_limit
    if size is None and limit is not None:
        yield (
            f"the model in memory counts towards the pod's memory limit of {format_bytes(limit)}, and its size is "
            f"unknown; {advice}"
        )
    elif size is None:
        yield f"the model is downloaded to memory without a limit, because its size is unknown; {advice}"
    elif memory.pod_request is not None and (needed := size + memory.total_request) > memory.pod_request:
        yield (
            f"the containers and the model in memory need {format_bytes(needed)}, and the pod's "
            f"spec.resources.requests.memory is {format_bytes(memory.pod_request)}; raise it to "
            f"{format_bytes(needed)}, or the node may run out of memory"
        )


def _volume(options: FetchOptions) -> str:
    return options.volume or VOLUMES[options.medium]


def _own_empty_dirs(deliveries: Iterable[Delivery[FetchOptions]], spec: PodSpec) -> tuple[_EmptyDir, ...]:
    """The emptyDirs of the pod's own that models are downloaded into."""
    names = {delivery.options.volume for delivery in deliveries if delivery.options.volume}
    if not names:
        return ()
    sources = {volume.name: volume.source.get("emptyDir") for volume in spec.volumes or () if volume.name in names}
    return tuple(
        _EmptyDir(name, source.get("medium") == "Memory")
        for name, source in sources.items()
        if isinstance(source, dict)
    )


def _total_size(deliveries: Iterable[Delivery[FetchOptions]], volume: str, headroom: int) -> Decimal | None:
    """The bytes of all models in a volume. None if the size of a model is unknown."""
    sizes = [_size(delivery, headroom) for delivery in deliveries if _volume(delivery.options) == volume]
    return None if None in sizes else sum((size for size in sizes if size is not None), Decimal(0))


def _size(delivery: Delivery[FetchOptions], headroom: int) -> Decimal | None:
    """The bytes that one model may take: the annotation `size-limit`, else the size in the catalog plus headroom.

    `headroom` is in percent. None if neither is known. Raises InvalidAnnotation if the annotation is below the size.
    """
    artifact, limit = delivery.artifact, delivery.options.size_limit
    if artifact.object_bytes is None:
        return limit
    if limit is None:
        return Decimal(size_on_disk(artifact, artifact.object_bytes, headroom, _MEBIBYTE))
    if limit < artifact.object_bytes:
        allowed = f"at least {format_bytes(Decimal(artifact.object_bytes))}, the size of {artifact.folder}"
        raise InvalidAnnotation(delivery.request.where("size-limit"), format_bytes(limit), allowed)
    return limit


def _empty_dir(medium: Medium, size: Decimal | None) -> JSON:
    source: JSON = {"medium": "Memory"} if medium == "memory" else {}
    if size is not None:
        source["sizeLimit"] = format_bytes(size)
    return {"name": VOLUMES[medium], "emptyDir": source}


STRATEGY: Final = Strategy(
    name="s3-init",
    summary="An init container downloads the model from S3 into a volume of the pod.",
    plan=plan,
    annotations=ANNOTATIONS,
    options=FetchOptions,
    settings=FetchSettings,
    settings_path="fetch",
    needs_credentials=lambda _: True,
)
