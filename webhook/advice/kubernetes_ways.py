"""The ways on Kubernetes: the strategies of the webhook."""

from typing import Final

from webhook.advice.drivers import FILE_SYSTEMS, MOUNTPOINT, NODE_CACHE, SHARED, has
from webhook.advice.next_steps import annotate, injector, manifests, published
from webhook.advice.situation import IMAGE_VOLUMES_SINCE, Names, Situation
from webhook.advice.way import (
    Assessment,
    Estimate,
    Way,
    download,
    image_pull,
    kept,
    on_nodes_as_image,
    reading,
    releases,
    seconds,
    shared_reading,
)

_PUBLISH: Final = "publish the version to the bucket"
_ROLE: Final = "give the pods' service account a role that reads the bucket"


def _without_s3(situation: Situation, who: str) -> str | None:
    return (
        None if situation.connectivity == "s3" else f"{who} cannot reach S3 (--connectivity {situation.connectivity})"
    )


def _s3_init(situation: Situation) -> Assessment:
    return Assessment(
        excluded=_without_s3(situation, "starting pods"),
        estimate=download(situation),
        once=(_ROLE,),
        each_version=(_PUBLISH, *releases(situation)),
        stored={"bucket": kept(situation), "node-disk": situation.bytes * situation.replicas},
        trade_offs=(
            "Each replica downloads the model again, also on a node that another replica has started on.",
            "Each replica needs room for a copy on its node, or in memory with the annotation medium: memory.",
            "A pod cannot start while S3 does not answer.",
        ),
    )


def _s3_mount(situation: Situation) -> Assessment:
    has_driver = has(situation, MOUNTPOINT)
    missing = f"the cluster has no CSI driver {MOUNTPOINT}: install Mountpoint for Amazon S3"
    return Assessment(
        excluded=_without_s3(situation, "nodes") or (missing if has_driver is False else None),
        estimate=reading(situation),
        once=(() if has_driver else ("install the CSI driver of Mountpoint for Amazon S3",)) + (_ROLE,),
        each_version=(_PUBLISH, "create its volume and claim in each namespace", *releases(situation)),
        stored={"bucket": kept(situation)},
        unchecked=(f"the CSI driver {MOUNTPOINT}",) if has_driver is None else (),
        trade_offs=(
            "The application reads from S3 while it loads, so it feels each slow or failed request.",
            "Files that are read in small or random pieces are slow, unless the volume has a cache.",
            "A Mountpoint pod runs beside the workload on each node, and needs room there. Fargate has none.",
        ),
    )


def _node_cache(situation: Situation) -> Assessment:
    has_driver = has(situation, NODE_CACHE)
    missing = f"the cluster has no CSI driver {NODE_CACHE}: install it with nodeCache.enabled of the chart"
    copy = download(situation)
    return Assessment(
        excluded=_without_s3(situation, "nodes") or (missing if has_driver is False else None),
        estimate=Estimate(
            cold=copy.warm,
            warm=0,
            amount=situation.bytes,
            rate=copy.rate,
            bottleneck=copy.bottleneck,
            transfer=situation.bytes * situation.nodes,
        ),
        once=(() if has_driver else ("install the node cache with the chart",)) + (_ROLE,),
        each_version=(_PUBLISH, *releases(situation)),
        stored={"bucket": kept(situation), "node-disk": kept(situation) * situation.nodes},
        unchecked=(f"the CSI driver {NODE_CACHE}",) if has_driver is None else (),
        trade_offs=(
            "A privileged DaemonSet runs on each node, with Linux 5.12 or later. Fargate has none.",
            "Old versions stay on a node's disk until others need the room.",
            "A pod cannot start while S3 does not answer, also if its node has the model.",
        ),
    )


def _shared_volume(situation: Situation) -> Assessment:
    has_driver = has(situation, *SHARED)
    missing = "the cluster has no CSI driver that is known for ReadWriteMany storage: install one, such as Trident"
    return Assessment(
        excluded=_without_s3(situation, "the Job that loads the volume") or (missing if has_driver is False else None),
        estimate=shared_reading(situation),
        once=(
            "create the file system",
            *(() if has_driver else ("install its CSI driver, with a storage class",)),
            "give the loader's service account a role that reads the bucket",
        ),
        each_version=(
            _PUBLISH,
            "load it into a volume",
            "share the volume with each namespace",
            *releases(situation),
        ),
        stored={"bucket": kept(situation), "file-system": kept(situation)},
        unchecked=("ReadWriteMany storage, such as Trident's",) if has_driver is None else (),
        trade_offs=(
            "The file system's throughput is shared: many replicas that start at once slow each other down.",
            "The model is stored twice, in the bucket and in the file system, whose old volumes somebody deletes.",
            "The driver and the file system are operated, and copied to other regions, beside the cluster.",
        ),
    )


def _volume(situation: Situation) -> Assessment:
    has_driver = has(situation, *FILE_SYSTEMS)
    missing = (
        f"the cluster has none of the CSI drivers {', '.join(FILE_SYSTEMS)}: install one (volumes on local NVMe disks "
        "need none)"
    )
    is_offline = "nodes cannot reach a file system (--connectivity none)" if situation.connectivity == "none" else None
    return Assessment(
        excluded=is_offline or (missing if has_driver is False else None),
        estimate=shared_reading(situation),
        once=(
            "create the file system",
            *(() if has_driver else ("install its CSI driver",)),
            "give whoever fills it a role that reads the bucket",
            "create a volume and a claim in each namespace",
        ),
        each_version=(_PUBLISH, "copy it to the file system", *releases(situation)),
        stored={"bucket": kept(situation), "file-system": kept(situation)},
        unchecked=("a file system, such as FSx for Lustre, FSx for OpenZFS or EFS",) if has_driver is None else (),
        trade_offs=(
            "The file system's throughput is shared: many replicas that start at once slow each other down.",
            "The model is stored twice, in the bucket and in the file system, which somebody fills and cleans up.",
            "Every pod that mounts the claim sees all versions on it.",
        ),
    )


def _node_image(situation: Situation) -> Assessment:
    return Assessment(
        estimate=Estimate(
            cold=seconds(situation.bytes, situation.snapshot_rate),
            warm=0,
            amount=situation.bytes,
            rate=situation.snapshot_rate,
            bottleneck="the volume's initialization from its snapshot",
            transfer=situation.bytes * situation.nodes,
        ),
        once=(
            "build a pipeline for node images, with Packer or EC2 Image Builder",
            "give the pipeline a role that reads the bucket",
            "create a node pool whose nodes have the model",
        ),
        each_version=(
            _PUBLISH,
            "build the image, or the snapshot of a data volume",
            "test it on a running node",
            "replace the nodes",
            *releases(situation),
        ),
        stored={
            "bucket": kept(situation),
            "snapshot": kept(situation),
            "node-disk": situation.bytes * situation.nodes,
        },
        trade_offs=(
            "A new version replaces nodes, which moves every pod on them, so this suits models that rarely change.",
            "Blocks of a new volume arrive lazily: the cold start assumes a data volume with volumeInitializationRate.",
            "An AMI needs fast snapshot restore to start as fast.",
            "Pods only run on nodes of the model's pool: one pool for each model, or all models on every node.",
        ),
    )


def _oci_image(situation: Situation) -> Assessment:
    minor = situation.kubernetes_minor
    is_old = minor is not None and minor < IMAGE_VOLUMES_SINCE
    reasons = (
        "nodes cannot reach a registry (--connectivity none)" if situation.connectivity == "none" else None,
        f"image volumes are on by default from Kubernetes 1.{IMAGE_VOLUMES_SINCE} on, and the cluster has 1.{minor}: "
        "upgrade it, or switch on the feature gate ImageVolume"
        if is_old
        else None,
    )
    return Assessment(
        excluded=next(filter(None, reasons), None),
        estimate=image_pull(situation),
        once=("let the nodes pull from the registry",),
        each_version=(_PUBLISH, "push it as an image", *releases(situation)),
        stored={
            "bucket": kept(situation),
            "registry": kept(situation),
            "node-disk": on_nodes_as_image(situation),
        },
        unchecked=(
            *((f"Kubernetes 1.{IMAGE_VOLUMES_SINCE} or later",) if minor is None else ()),
            "containerd 2.1 or CRI-O 1.31, or later",
        ),
        trade_offs=(
            "A cold pull writes each byte several times, so it is slower than a download of the same files.",
            "Unused images are the first that kubelet deletes when a node's disk fills up.",
            "The registry's limits apply to each file, which is one layer.",
        ),
    )


def _s3_init_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    return (*published(names), injector(names, "iam-policy", names.model), annotate(names, "s3-init"))


def _s3_mount_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    addon = "aws eks create-addon --cluster-name CLUSTER --addon-name aws-mountpoint-s3-csi-driver"
    return (
        *(() if has(situation, MOUNTPOINT) else (addon,)),
        *published(names),
        injector(names, "iam-policy", names.model),
        f"{manifests(names, 's3-mount')} | kubectl apply -f -",
        annotate(names, "s3-mount"),
    )


def _node_cache_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    return (*published(names), injector(names, "iam-policy", names.model), annotate(names, "node-cache"))


def _shared_volume_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    return (
        *published(names),
        injector(names, "iam-policy", names.model),
        "# set strategies.shared-volume.storageClass, then:",
        f"{manifests(names, 'shared-volume', '--stage', 'load')} | kubectl apply -f -",
        "# when the Job has completed:",
        f"{manifests(names, 'shared-volume', '--stage', 'share')} | kubectl apply -f -",
        annotate(names, "shared-volume"),
    )


def _volume_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    return (
        *published(names),
        injector(names, "pull", f"{names.model}@{names.version}", "DIR"),
        "# DIR is where the file system is mounted; set strategies.volume.source to its claim, then:",
        annotate(names, "volume"),
    )


def _node_image_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    return (
        *published(names),
        manifests(names, "node-image", "--output", "DIR"),
        "# build the node image with the files in DIR, and apply its node pool, then:",
        annotate(names, "node-image"),
    )


def _oci_image_commands(situation: Situation, names: Names) -> tuple[str, ...]:
    del situation
    return (
        *published(names),
        injector(names, "image", "push", f"{names.model}@{names.version}", "REGISTRY/NAME"),
        annotate(names, "oci-image"),
    )


KUBERNETES_WAYS: Final = (
    Way(
        name="s3-init",
        summary="An init container downloads the model from S3 into a volume of the pod.",
        platforms=("kubernetes",),
        assess=_s3_init,
        commands=_s3_init_commands,
    ),
    Way(
        name="s3-mount",
        summary="The pod mounts the model's folder in S3 through the CSI driver of Mountpoint for Amazon S3.",
        platforms=("kubernetes",),
        assess=_s3_mount,
        commands=_s3_mount_commands,
    ),
    Way(
        name="oci-image",
        summary="The pod mounts an image of the model as an image volume, which its node pulls once.",
        platforms=("kubernetes",),
        assess=_oci_image,
        commands=_oci_image_commands,
    ),
    Way(
        name="node-cache",
        summary="The pod mounts the model from the cache of its node, which downloads each version once.",
        platforms=("kubernetes",),
        assess=_node_cache,
        commands=_node_cache_commands,
    ),
    Way(
        name="volume",
        summary="The pod mounts a claim of a file system that you fill: FSx for Lustre, FSx for OpenZFS, EFS or NVMe.",
        platforms=("kubernetes",),
        assess=_volume,
        commands=_volume_commands,
    ),
    Way(
        name="shared-volume",
        summary="The pod mounts a volume that a Job has loaded once: FSx for NetApp ONTAP, or other shared storage.",
        platforms=("kubernetes",),
        assess=_shared_volume,
        commands=_shared_volume_commands,
    ),
    Way(
        name="node-image",
        summary="The pod runs on nodes whose machine image, or data volume, contains the model.",
        platforms=("kubernetes",),
        assess=_node_image,
        commands=_node_image_commands,
    ),
)
"""In the order in which ways are preferred that are equal in everything else."""
