"""A situation: what is known about a model, where it runs, and the figures that estimates are computed from."""

from typing import Final, Literal, TypeAlias

import msgspec

Platform: TypeAlias = Literal["kubernetes", "docker"]
Coupling: TypeAlias = Literal["loose", "tight"]
Connectivity: TypeAlias = Literal["s3", "registry", "none"]
Environment: TypeAlias = Literal["production", "development"]
Store: TypeAlias = Literal["bucket", "registry", "file-system", "snapshot", "node-disk"]
"""A kind of storage that a version takes up, and that has a price of its own."""

NODE_BANDWIDTH: Final = 5_000_000_000 // 8
"""Bytes a second between a node and S3, a registry or a file system: 5 Gbit/s, to which EC2 limits one flow, and
instances with fewer than 32 processors through an internet gateway (EC2 User Guide, "Amazon EC2 instance network
bandwidth"). Within a region, large instances reach more."""

DISK_BANDWIDTH: Final = 125 << 20
"""Bytes a second of a node's disk: what a gp3 volume has unless more is provisioned, at most 2,000 MiB/s (EC2 API,
`CreateVolume`, `Throughput`)."""

SHARED_BANDWIDTH: Final = 512_000_000
"""Bytes a second that a shared file system gives to all readers together: 512 MBps, a throughput capacity that FSx for
NetApp ONTAP and FSx for OpenZFS both offer (FSx API, `ThroughputCapacity`)."""

SNAPSHOT_RATE: Final = 300 << 20
"""Bytes a second at which EBS fills a volume from its snapshot: the highest `VolumeInitializationRate` (EC2 API,
`CreateVolume`: 100 to 300 MiB/s). Without such a rate it fluctuates, and can be far lower."""

IMAGE_PASSES: Final = 2
"""How often a pull writes each byte of an image to the disk: containerd stores the layer, then unpacks it. KServe's
measurements of image volumes and of downloads from S3 on gp3 (docs/samples/storage/oci-image-volume/README.md) have
ratios of 1.0 for 2 GB, 3.2 for 14 GB and 2.0 for 140 GB."""

IMAGE_COPIES: Final = 2
"""Copies of an image on a node: layers as they were pulled, and unpacked. containerd keeps both unless
`discard_unpacked_layers` is set."""

LAYER_LIMIT: Final = 52_000 << 20
"""The largest layer of Amazon ECR (Amazon ECR service quotas, "Maximum layer size": 52,000 MiB, not adjustable)."""

IMAGE_VOLUMES_SINCE: Final = 35
"""The minor version of Kubernetes 1 from which on the feature gate `ImageVolume` is on by default
(kubernetes/enhancements, KEP-4639)."""

GB: Final = 1 << 30
"""The bytes of a GB in a price: AWS bills binary gigabytes (the example for storage in the FAQ of Amazon S3)."""


class Situation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answers. Sizes are in bytes, rates in bytes a second, times in seconds."""

    bytes: int
    """The size of one version."""
    versions_a_month: float
    replicas: int
    replicas_per_node: int
    """Replicas on one node, or on one Docker host. At most `replicas`."""
    nodes: int
    target_seconds: int
    """How long the model may take to be available to a replica that starts."""
    coupling: Coupling
    """`tight`: each version of the model is released with a version of the code."""
    connectivity: Connectivity
    """What a starting node can reach: S3 and a registry, a registry only, or neither."""
    platform: Platform
    environment: Environment
    node_bandwidth: int
    disk_bandwidth: int
    shared_bandwidth: int
    snapshot_rate: int
    image_passes: int
    layer_limit: int
    versions_kept: int
    """Versions that are stored at a time, those to roll back to included."""
    kubernetes_minor: int | None = None
    """35 for Kubernetes 1.35. None: not known."""
    csi_drivers: tuple[str, ...] | None = None
    """The names of the cluster's CSIDriver objects. None: not known."""
    prices: dict[Store, float] = {}
    """The price of a GB-month, for each kind of storage whose price is known."""

    @property
    def versions_in_first_year(self) -> int:
        """The first version, and the updates of twelve months, rounded up."""
        return 1 + -int(-12 * self.versions_a_month // 1)


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names that commands contain."""

    model: str = "MODEL"
    version: str = "VERSION"
    folder: str = "MODEL-VERSION"
    """The name of the version's folder in the bucket and in containers."""
    namespace: str = "default"
    mount_path: str = "/model-artifacts"
    annotation_prefix: str = "model-injector.io"
    options: tuple[str, ...] = ()
    """Arguments that every command of `model-injector` gets, such as `--config values.yaml`."""
    is_published: bool = False
    """Whether the version was found in the catalog."""
