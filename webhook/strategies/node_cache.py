"""The strategy `node-cache`: a pod mounts a model from the cache of its node, through this project's own CSI driver.

The driver has each version once on a node. The first pod there waits for the download, and the next ones do not.
"""

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import BeforeValidator, Field, model_validator

from webhook.fetching.options import VERIFY
from webhook.fields.group import Group
from webhook.fields.parsers import REFERENCE
from webhook.fields.types import AbsolutePath, Globs, SourceName, Verification
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.quantities import parse_quantity
from webhook.model.objects import cached_label
from webhook.model.source import DEFAULT_SOURCE
from webhook.strategies.strategy import Delivery, Location, Plan, Strategy, Target

NAME: Final = "node-cache"
DRIVER: Final = "csi.model-injector.io"
_PERCENT: Final = re.compile(r"([1-9][0-9]?|100)%")
_FARGATE: Final = "fargate-scheduler"
_MOST_PREFERRED: Final = 8


def _budget(value: object) -> str:
    if not isinstance(value, str):  # such as 50, which may be meant as a share or as bytes
        raise ValueError(  # noqa: TRY004 - pydantic reports no other
            f"{value!r} has no unit: write a share of the disk such as 50%, or a quantity such as 500Gi"
        )
    if not _PERCENT.fullmatch(value):
        try:
            is_positive = parse_quantity(value) > 0
        except ValueError:
            is_positive = False
        if not is_positive:
            raise ValueError(f"{value!r} is neither a share of the disk such as 50% nor a quantity such as 500Gi")
    return value


class Prefetch(Group):
    """Versions that every node fetches before a pod asks for them."""

    source: SourceName = DEFAULT_SOURCE
    """The source of the models."""
    models: Globs = ("*",)
    """Names of the models, as globs."""
    versions: str = Field(default="latest", pattern=f"^{REFERENCE}$")
    """Which versions: an alias such as `@champion`, `latest`, a range for the newest version in it, or an exact one."""


class PeerSettings(Group):
    """Nodes that get versions from each other before S3. The chart sets all but `port`."""

    service: str = Field(default="", max_length=253, pattern=r"^[A-Za-z0-9.:-]*$")
    """The DNS name of the Service whose addresses are the drivers. Empty: nodes only use S3."""
    port: int = Field(default=8082, ge=1, le=65535)
    """The port at which drivers serve each other."""
    address: str = ""
    """The address at which the driver serves others. Empty: all addresses, IPv4 and IPv6."""
    key_file: str = ""
    """The file with the key that all drivers share, of at least 32 bytes."""

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if self.service and not self.key_file:
            raise ValueError(
                "service is set, and keyFile is not: nodes sign their requests to each other with that key. "
                "With the chart, set nodeCache.peers instead"
            )
        return self


class NodeCacheSettings(Group):
    """Settings of the strategy, and of the driver on each node."""

    authentication_source: Literal["pod", "driver"] = "pod"
    """Whose role reads the bucket. pod: that of the pod's service account, by IRSA or EKS Pod Identity, also for a
    version that the node has already. driver: that of the driver, for every pod that the rules allow the model."""
    budget: Annotated[str, BeforeValidator(_budget)] = "50%"
    """What the cache of a node may hold: a share of the disk, or a quantity such as 500Gi. The versions that were
    mounted least recently make room. 15 percent of the disk stay free in any case, so that kubelet evicts no pods."""
    folder: AbsolutePath = "/var/lib/model-injector"
    """The folder of the cache on the nodes."""
    kubelet_folder: AbsolutePath = "/var/lib/kubelet"
    """The folder of kubelet on the nodes."""
    prefetch: tuple[Prefetch, ...] = Field(default=(), max_length=100)
    """Versions that every node fetches with the driver's role, and keeps. Needs catalog.mode s3."""
    follow_aliases: bool = True
    """Whether a node that has pods with an alias, a range or `latest` fetches the version that it means next, with the
    driver's role, before a pod asks for it. Needs catalog.mode s3."""
    placement: bool = False
    """Whether nodes carry a label for each version in their cache, and pods prefer nodes that have their versions. The
    driver needs the right to change its node, which the chart limits to these labels."""
    startup_taint: bool = False
    """Whether the driver removes the taint `node-cache-not-ready`, with the prefix of annotations, from its node when
    all versions of `prefetch` are there. Who registers the node sets the taint, such as Karpenter's `startupTaints`."""
    peers: PeerSettings = PeerSettings()
    """Nodes that get versions from each other before S3."""


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """How one model is checked."""

    verify: Verification


def plan(deliveries: Sequence[Delivery[CacheOptions]], target: Target, settings: NodeCacheSettings) -> Plan:  # noqa: ARG001
    """A volume of the driver for each model."""
    volumes = {f"model-{delivery.slug}": delivery for delivery in deliveries}
    artifacts = [delivery.artifact for delivery in deliveries[:_MOST_PREFERRED] if settings.placement]
    return Plan(
        locations=tuple(map(Location, volumes)),
        volumes=tuple({"name": name, "csi": _volume(delivery)} for name, delivery in volumes.items()),
        preferred_node_labels=tuple(cached_label(each.source.endpoint_url, each.uri) for each in artifacts),
    )


def _volume(delivery: Delivery[CacheOptions]) -> JSON:
    """The volume, of the type core/v1 CSIVolumeSource. The driver derives everything else from its own settings."""
    request, artifact = delivery.request, delivery.artifact
    attributes = {
        "source": request.source,
        "model": artifact.model,
        "version": artifact.version,
        "asked": request.version,
        "digest": artifact.digest or "",
        "verify": delivery.options.verify,
    }
    return {
        "driver": DRIVER,
        "readOnly": True,
        "volumeAttributes": {name: value for name, value in attributes.items() if value},
    }


def availability(delivery: Delivery[CacheOptions], target: Target, settings: NodeCacheSettings) -> str | None:  # noqa: ARG001
    """Whether the cluster has the driver, and the pod runs on a node that can have it."""
    if target.pod.spec.scheduler_name == _FARGATE:
        return "Fargate runs no DaemonSets, so the driver is not on its nodes"
    return target.inventory.driver_problem(DRIVER) if target.inventory else None


def _needs_credentials(settings: Any) -> bool:
    return bool(settings.authentication_source == "pod")


def problem(settings: NodeCacheSettings, sources: Collection[str], has_catalog: bool) -> str | None:
    """What is wrong with `prefetch`, whose references need a catalog of their sources."""
    if settings.prefetch and not has_catalog:
        return "prefetch needs the catalog: set catalog.mode to s3"
    unknown = {each.source for each in settings.prefetch} - set(sources)
    return f"prefetch names a source that is not configured: {', '.join(sorted(unknown))}" if unknown else None


STRATEGY: Final = Strategy(
    name=NAME,
    summary="The pod mounts the model from the cache of its node, which downloads each version once.",
    plan=plan,
    annotations=(VERIFY,),
    options=CacheOptions,
    settings=NodeCacheSettings,
    problem=problem,
    availability=availability,
    needs_credentials=_needs_credentials,
    volume_types=("csi",),
)
