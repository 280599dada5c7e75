"""The strategy `s3-mount`: a pod reads a model from S3 through a volume of the Mountpoint for Amazon S3 CSI driver.

The driver, version 2, provisions no volumes, so each version and namespace has a PersistentVolume and a claim, which
`manifests` declares. The volume's root is the model's folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import Quantity
from webhook.kubernetes.mesh import MESH_PROXIES
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Container, PodSpec
from webhook.kubernetes.quantities import parse_quantity
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name, volume_and_claim, volume_name
from webhook.model.refusals import Conflict
from webhook.model.request import ModelRequest
from webhook.strategies.strategy import Delivery, Location, ManifestRequest, Manifests, Plan, Strategy, Target

_NAME: Final = "s3-mount"
_DRIVER: Final = "s3.csi.aws.com"
_GATE: Final = f"{_DRIVER}/reserve-headroom-for-mppod"
"""The gate that the driver's controller removes once it has reserved room for the Mountpoint Pod."""


class MountCache(Group):
    """The cache of a Mountpoint Pod on its node, for files that are read more than once."""

    type: Literal["none", "emptyDir", "ephemeral"] = "none"
    """none: every read goes to S3. emptyDir: on the node's disk or in its memory. ephemeral: a new volume of
    storageClassName for each Mountpoint Pod."""
    size_limit: Quantity | None = None
    """The size of the cache. Required, because without a limit the driver fills the node's disk."""
    medium: Literal["", "Memory"] = ""
    """emptyDir: where it keeps the files. Empty: on the node's disk."""
    storage_class_name: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """ephemeral: the StorageClass of the volume. Required."""

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "none" and self.size_limit:
            raise ValueError("sizeLimit is set, and type is none: set type to emptyDir or ephemeral")
        if self.type != "none" and not (self.size_limit and parse_quantity(self.size_limit)):
            raise ValueError(f"a cache of type {self.type} needs sizeLimit, such as 20Gi: set it")
        if self.medium and self.type != "emptyDir":
            raise ValueError(f"medium is only for the type emptyDir, and type is {self.type}: remove it")
        if bool(self.storage_class_name) != (self.type == "ephemeral"):
            raise ValueError(
                f"storageClassName is for the type ephemeral, which needs it, and type is {self.type}: "
                + ("set it" if self.type == "ephemeral" else "remove it")
            )
        return self


class MountSettings(Group):
    """Settings of the strategy."""

    authentication_source: Literal["pod", "driver"] = "pod"
    """Whose role reads the bucket. pod: that of the pod's service account, by EKS Pod Identity or IRSA. driver: that of
    the driver, which is the same for all pods."""
    sts_region: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """pod: the region of STS for IRSA. Empty: the region of the source, else that of the node."""
    allow_other: bool = True
    """Whether containers that do not run as root can read the files. If not, only pods with an fsGroup, and containers
    that run as root, can."""
    reserve_headroom: bool = False
    """Whether pods get the scheduling gate by which the driver reserves room for its Mountpoint Pod on the node. Set
    this only if the driver is installed with experimental.reserveHeadroomForMountpointPods; otherwise nothing removes
    the gate, and the pods are never scheduled."""
    cache: MountCache = MountCache()
    """The cache on the node."""


def plan(deliveries: Sequence[Delivery[Any]], target: Target, settings: MountSettings) -> Plan:
    """A volume for each model, from the claim of its version.

    Raises Conflict if a container could not read the files.
    """
    spec = target.pod.spec
    claims = {f"model-{delivery.slug}": claim_name(_NAME, delivery.artifact) for delivery in deliveries}
    has_gate = settings.reserve_headroom and not spec.node_name  # the API server refuses gates on a pod with a node
    return Plan(
        locations=tuple(map(Location, claims)),
        volumes=tuple(
            {"name": volume, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            for volume, claim in claims.items()
        ),
        scheduling_gates=(_GATE,) if has_gate else (),
        warnings=() if settings.allow_other else _unknown_readers(deliveries, spec),
    )


def availability(delivery: Delivery[Any], target: Target, settings: MountSettings) -> str | None:  # noqa: ARG001
    """Whether the cluster has the driver, and the namespace has the version's claim."""
    if target.inventory is None:
        return None
    claim = claim_name(_NAME, delivery.artifact)
    return target.inventory.driver_problem(_DRIVER) or target.inventory.claim_problem(target.namespace, claim)


def _unknown_readers(deliveries: Sequence[Delivery[Any]], spec: PodSpec) -> tuple[str, ...]:
    """A warning that names the containers that may not be able to read a volume without allow-other.

    Only root can, or every container if the pod has an fsGroup. Raises Conflict for a container that certainly cannot.
    """
    context = spec.security_context
    if context and context.fs_group is not None:
        return ()
    unknown = dict[str, None]()
    for container in (container for delivery in deliveries for container in _readers(delivery.request, spec)):
        contexts = [each for each in (container.security_context, context) if each]
        user = next((each.run_as_user for each in contexts if each.run_as_user is not None), None)
        is_non_root = next((each.run_as_non_root for each in contexts if each.run_as_non_root is not None), None)
        if user or (user is None and is_non_root):
            runs_as = f"runs as user {user}" if user else "does not run as root"
            raise Conflict(
                f"container {container.name} {runs_as}, and only root can read a model by the strategy {_NAME} in a "
                f"pod without fsGroup; set securityContext.fsGroup of the pod, such as fsGroup: {user or 1000}"
            )
        if user is None:
            unknown[container.name] = None
    warning = (
        f"only root can read a model by the strategy {_NAME} in a pod without fsGroup, and the user of "
        f"{', '.join(unknown)} is unknown; set securityContext.fsGroup of the pod, such as fsGroup: 1000"
    )
    return (warning,) if unknown else ()


def _readers(request: ModelRequest, spec: PodSpec) -> list[Container]:
    """The containers that get the model."""
    containers = spec.containers or ()
    if request.containers:
        named = (*containers, *(spec.init_containers or ()))
        return [container for container in named if container.name in request.containers]
    return [container for container in containers if container.name not in MESH_PROXIES]


def manifests(request: ManifestRequest, settings: MountSettings) -> Manifests:
    """A PersistentVolume and its claim for each version and namespace."""
    objects = [
        each
        for namespace in request.namespaces
        for artifact in request.artifacts
        for each in volume_and_claim(
            _NAME, artifact, namespace, request.annotation_prefix, _volume(artifact, namespace, settings)
        )
    ]
    driver = f"kubectl get csidriver {_DRIVER} finds the driver, which has to be version 2"
    claims = f"kubectl get persistentvolumeclaims --all-namespaces --selector {request.annotation_prefix}/model"
    return Manifests(tuple(objects), hints=(driver, f"{claims} shows the claims: pods can mount those that are Bound"))


def _volume(artifact: Artifact, namespace: str, settings: MountSettings) -> JSON:
    """The volume's fields of core/v1 PersistentVolumeSpec. The driver mounts ReadOnlyMany read-only."""
    return {
        "mountOptions": list(_mount_options(artifact, settings)),
        "csi": {
            "driver": _DRIVER,
            "volumeHandle": volume_name(_NAME, namespace, artifact),
            "volumeAttributes": {
                # Mountpoint documents the ARN of an access point with a slash, and s5cmd needs a colon.
                "bucketName": artifact.source.bucket.replace(":accesspoint:", ":accesspoint/"),
                **_authentication(artifact, settings),
                **_cache(settings.cache),
            },
        },
    }


def _mount_options(artifact: Artifact, settings: MountSettings) -> Iterator[str]:
    source = artifact.source
    prefix = "/".join(filter(None, (source.prefix, artifact.folder)))
    # The driver takes the first = of an option for the end of its name.
    yield f"prefix={prefix}/" if "=" in prefix else f"prefix {prefix}/"
    yield "metadata-ttl indefinite"  # the files of a version never change
    if settings.allow_other:
        yield "allow-other"
    if source.region:
        yield f"region {source.region}"
    if source.endpoint_url:
        yield f"endpoint-url {source.endpoint_url}"
        yield "force-path-style"  # as s5cmd addresses buckets at such a URL
    if source.requester_pays:
        yield "requester-pays"
    if source.anonymous:
        yield "no-sign-request"


def _authentication(artifact: Artifact, settings: MountSettings) -> Mapping[str, str]:
    # Without a role of the pod, the driver refuses to mount with `pod`, and a public bucket needs no role.
    authentication: str = "driver" if artifact.source.anonymous else settings.authentication_source
    attributes = {"authenticationSource": authentication}
    if authentication == "pod" and settings.sts_region:
        attributes["stsRegion"] = settings.sts_region
    return attributes


def _cache(cache: MountCache) -> Mapping[str, str]:
    if cache.size_limit is None:
        return {}
    if cache.type == "ephemeral":
        return {
            "cache": cache.type,
            "cacheEphemeralStorageClassName": cache.storage_class_name,
            "cacheEphemeralStorageResourceRequest": cache.size_limit,
        }
    medium = {"cacheEmptyDirMedium": cache.medium} if cache.medium else {}
    return {"cache": cache.type, "cacheEmptyDirSizeLimit": cache.size_limit, **medium}


STRATEGY: Final = Strategy(
    name=_NAME,
    summary="The pod mounts the model's folder in S3, with the Mountpoint for Amazon S3 CSI driver.",
    plan=plan,
    settings=MountSettings,
    availability=availability,
    needs_credentials=lambda settings: bool(settings.authentication_source == "pod"),
    manifests=manifests,
    volume_types=("persistentVolumeClaim",),
)
