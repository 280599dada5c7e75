"""The strategy `s3-init`: an init container downloads each model from S3 into a volume of the pod.

The init container runs `fetch.sh` in the stock image of s5cmd. Whatever differs between pods reaches the script as an
argument or as environment, checked before, so the script itself is constant. docs/fetch.md has its contract.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

from webhook.catalog import Artifact
from webhook.errors import InvalidAnnotation
from webhook.fetching.script import MARK, SCRIPT
from webhook.pod import Container, Pod, PodSpec
from webhook.quantities import format_bytes
from webhook.request import Medium, ModelRequest
from webhook.settings import Fetch, Settings
from webhook.strategies.protocol import JSON, Change, Delivery, Folder
from webhook.strategies.resources import Room, resources

ROOT: Final = "/model-artifacts"
"""Where an init container sees its volume."""
VOLUMES: Final[dict[Medium, str]] = {"disk": "model-artifacts", "memory": "model-artifacts-memory"}
"""The names of our volumes."""

_BLOCK: Final = 4096
"""Bytes by which a file takes more of a disk, at most, than its length."""
_MEBIBYTE: Final = 1 << 20
_RETRIES: Final = 3
"""Of s5cmd itself, for one request; what lasts longer comes back to the script, which tells of it and waits."""


def plan(deliveries: Sequence[Delivery], pod: Pod, settings: Settings) -> Change:
    """An init container for each model, and the emptyDirs that they fill, one a medium. Raises Refusal."""
    present = [volume.name for volume in pod.spec.volumes or ()]
    for request in (delivery.request for delivery in deliveries):
        if request.volume is not None and request.volume not in present:
            allowed = (
                f"one of the pod's volumes: {', '.join(present)}"
                if present
                else "the name of a volume that the pod has"
            )
            raise InvalidAnnotation(request.where("volume"), request.volume, allowed)
    room = Room.of(pod, in_memory=any(delivery.request.medium == "memory" for delivery in deliveries))
    user = (pod.spec.security_context and pod.spec.security_context.run_as_user) or settings.fetch.run_as_user
    return _change(tuple(deliveries), room, user, settings)


@lru_cache(maxsize=256)
def _change(deliveries: Sequence[Delivery], room: Room, user: int, settings: Settings) -> Change:
    """The same for every pod of a workload, and shared by them: nobody writes to it."""
    ours = dict.fromkeys(delivery.request.medium for delivery in deliveries if delivery.request.volume is None)
    sizes = {VOLUMES[medium]: _total_size(deliveries, medium, settings.fetch.size_headroom) for medium in ours}
    warnings = []
    if VOLUMES["memory"] in sizes and sizes[VOLUMES["memory"]] is None:
        warnings.append("medium memory without size-limit: the download has no memory limit")
    if room.storage_limit is not None and VOLUMES["disk"] in sizes and sizes[VOLUMES["disk"]] is None:
        warnings.append(
            f"the containers limit ephemeral-storage to {format_bytes(room.storage_limit)} together, and the model "
            "counts; set size-limit, by which that limit is raised"
        )
    return Change(
        volumes=tuple(_empty_dir(medium, sizes[VOLUMES[medium]]) for medium in ours),
        init_containers=tuple(
            _init_container(delivery, sizes.get(_volume(delivery.request)), room, user, settings)
            for delivery in deliveries
        ),
        folders=tuple(
            Folder(_volume(delivery.request), delivery.artifact.folder, exclusive=delivery.request.volume is None)
            for delivery in deliveries
        ),
        warnings=tuple(warnings),
    )


def is_planned(existing: Container, planned: JSON) -> bool:
    """Whether `existing` runs our script for the same files and the same folder.

    Other webhooks may have added to it or changed its image, and another version of ours may have made it.
    """
    return _is_ours(existing) and (existing.args or ())[:2] == tuple(planned["args"][:2])


def delivered(spec: PodSpec) -> Iterator[str]:
    """The URIs that our init containers fetch."""
    for container in spec.init_containers or ():
        if _is_ours(container) and container.args:
            yield container.args[0].removesuffix("/*")


def _is_ours(container: Container) -> bool:
    return (container.command or ())[3:4] == (MARK,)


def _volume(request: ModelRequest) -> str:
    return request.volume or VOLUMES[request.medium]


def _total_size(deliveries: Iterable[Delivery], medium: Medium, headroom: int) -> Decimal | None:
    """The bytes that one of our volumes has to hold; None where those of a model are not known."""
    sizes = [
        _size(delivery, headroom)
        for delivery in deliveries
        if delivery.request.volume is None and delivery.request.medium == medium
    ]
    return None if None in sizes else sum((size for size in sizes if size is not None), Decimal(0))


def _size(delivery: Delivery, headroom: int) -> Decimal | None:
    """The bytes that one model may take, by what the pod says, else by what the catalog knows and some percent more."""
    artifact, limit = delivery.artifact, delivery.request.size_limit
    if artifact.object_bytes is None:
        return limit
    if limit is None:
        blocks = _BLOCK * (artifact.objects or artifact.files or 0)
        whole = (artifact.object_bytes + blocks) * (100 + headroom) // 100
        return Decimal(-(-whole // _MEBIBYTE) * _MEBIBYTE)
    if limit < artifact.object_bytes:
        allowed = f"at least {format_bytes(Decimal(artifact.object_bytes))}, for {artifact.folder} has that many bytes"
        raise InvalidAnnotation(delivery.request.where("size-limit"), format_bytes(limit), allowed)
    return limit


def _empty_dir(medium: Medium, size: Decimal | None) -> JSON:
    source: JSON = {"medium": "Memory"} if medium == "memory" else {}
    if size is not None:
        source["sizeLimit"] = format_bytes(size)
    return {"name": VOLUMES[medium], "emptyDir": source}


def _init_container(delivery: Delivery, size: Decimal | None, room: Room, user: int, settings: Settings) -> JSON:
    environment = _environment(delivery.artifact, settings.fetch)
    return {
        "name": f"fetch-{delivery.slug}",
        "image": settings.fetch.image,
        "command": ["/bin/sh", "-c", SCRIPT, MARK],
        "args": _arguments(delivery.request, delivery.artifact, settings.fetch),
        **({"env": environment} if environment else {}),
        "resources": resources(delivery.request, size, room, settings.fetch.resources),
        "volumeMounts": [{"name": _volume(delivery.request), "mountPath": ROOT}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _arguments(request: ModelRequest, artifact: Artifact, fetch: Fetch) -> list[str]:
    """The script's arguments, in the order that it takes them; docs/fetch.md has their table."""
    known = artifact.objects is not None and request.verify != "none"
    flags = ["--numworkers", str(fetch.num_workers), "--retry-count", str(_RETRIES)]
    if artifact.source.anonymous:
        flags.append("--no-sign-request")
    if artifact.source.requester_pays:
        flags += ["--request-payer", "requester"]
    return [
        f"{artifact.uri}/*",
        f"{ROOT}/{artifact.folder}",
        f"{artifact.objects},{artifact.object_bytes}" if known else "-",
        request.verify,
        str(request.timeout),
        "a+rX" if request.read_only else "a+rwX",
        str(fetch.concurrency),
        *flags,
    ]


def _environment(artifact: Artifact, fetch: Fetch) -> list[JSON]:
    """The settings' own entries, then ours that they do not have."""
    ours = {
        "AWS_REGION": artifact.source.region,
        "S3_ENDPOINT_URL": artifact.source.endpoint_url,
        "FETCH_CA_BUNDLE": fetch.ca_bundle.strip(),
    }
    named = {entry["name"] for entry in fetch.env}
    return [
        *fetch.env,
        *({"name": name, "value": value} for name, value in ours.items() if value and name not in named),
    ]
