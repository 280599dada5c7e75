"""The Kubernetes objects of a node image: local volumes with their claims, and Karpenter's pool of nodes."""

from collections.abc import Iterator, Mapping
from typing import Final

from webhook.kubernetes.patch import JSON
from webhook.model.objects import volume_and_claim
from webhook.strategies.node_image.image import NodeImage
from webhook.strategies.node_image.settings import NodeImageSettings

NAME: Final = "node-image"
_GIBIBYTE: Final = 1 << 30
_OWNERS: Final = ("karpenter.sh/", "karpenter.k8s.aws/", "eks.amazonaws.com/")
"""Domains of labels that other programs put on nodes."""
_HOSTNAME: Final = "kubernetes.io/hostname"
_USER_DATA: Final = """\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="BOUNDARY"

--BOUNDARY
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/sh
mkdir -p '{path}'
mount -o ro LABEL=models '{path}'

--BOUNDARY--
"""


def volumes_and_claims(image: NodeImage, namespace: str, prefix: str, settings: NodeImageSettings) -> Iterator[JSON]:
    """The local volume of each version for a namespace, and the claim that the namespace's pods mount.

    Volumes are selected by the labels of the nodes, so a claim is usable on each of them.
    """
    selected = [{"key": key, "operator": "In", "values": [value]} for key, value in image.labels.items()]
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": selected}]}}
    for artifact in image.artifacts:
        local = {"local": {"path": f"{settings.path}/{artifact.folder}"}, "nodeAffinity": affinity}
        yield from volume_and_claim(NAME, artifact, namespace, prefix, local)


def has_pool(image: NodeImage) -> bool:
    """Whether a NodePool can give nodes the labels of the image."""
    return not any(key == _HOSTNAME or key.startswith(_OWNERS) for key in image.labels)


def pool(image: NodeImage, settings: NodeImageSettings) -> tuple[JSON, JSON]:
    """The EC2NodeClass and the NodePool of Karpenter."""
    return (
        _node_class(image.name, _machine(image, settings), settings),
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "metadata": _metadata(image.name),
            "spec": {
                "template": {
                    "metadata": {"labels": dict(image.labels)},
                    "spec": {
                        **_nodes(image.name, settings),
                        "taints": [toleration.taint for toleration in settings.tolerations],
                    },
                },
                "disruption": _disruption(),
            },
        },
    )


def image_cache(settings: NodeImageSettings) -> tuple[JSON, JSON]:
    """The EC2NodeClass and the NodePool of nodes that have OCI images of models, for the strategy `oci-image`.

    Karpenter prefers the pool for its weight. Pods need neither labels nor tolerations, because every other node can
    pull the images.
    """
    name = "model-images"
    machine = {
        "amiSelectorTerms": [{"alias": "bottlerocket@latest"}],
        "blockDeviceMappings": [
            {"deviceName": "/dev/xvda", "rootVolume": True, "ebs": _new_volume("4Gi")},
            {"deviceName": "/dev/xvdb", "ebs": _volume_of("SNAPSHOT_ID", settings)},
        ],
    }
    return (
        _node_class(name, machine, settings),
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "metadata": _metadata(name),
            "spec": {
                "weight": 50,
                "template": {"spec": _nodes(name, settings)},
                "disruption": _disruption(),
            },
        },
    )


def _node_class(name: str, machine: JSON, settings: NodeImageSettings) -> JSON:
    """An EC2NodeClass. `machine`: its AMI and volumes."""
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": _metadata(name),
        "spec": {
            **machine,
            "role": settings.role,
            "subnetSelectorTerms": _discovered(settings),
            "securityGroupSelectorTerms": _discovered(settings),
        },
    }


def _discovered(settings: NodeImageSettings) -> list[JSON]:
    return [{"tags": {"karpenter.sh/discovery": settings.cluster_name}}]


def _machine(image: NodeImage, settings: NodeImageSettings) -> JSON:
    if not settings.snapshot_id:
        size = settings.volume_size + image.size
        return {
            "amiFamily": "AL2023",
            "amiSelectorTerms": [{"tags": dict(image.tags)}],
            "blockDeviceMappings": [
                {"deviceName": "/dev/xvda", "rootVolume": True, "ebs": _new_volume(f"{size}Gi")},
            ],
        }
    return {
        "amiFamily": "AL2023",
        "amiSelectorTerms": [{"ssmParameter": settings.parent_image}],
        "blockDeviceMappings": [
            {"deviceName": "/dev/xvda", "rootVolume": True, "ebs": _new_volume(f"{settings.volume_size}Gi")},
            {"deviceName": "/dev/xvdb", "ebs": _volume_of(settings.snapshot_id, settings)},
        ],
        "userData": _USER_DATA.format(path=settings.path),
    }


def _new_volume(size: str) -> JSON:
    return {"volumeSize": size, "volumeType": "gp3", "encrypted": True, "deleteOnTermination": True}


def _volume_of(snapshot: str, settings: NodeImageSettings) -> JSON:
    return {
        "snapshotID": snapshot,
        "volumeInitializationRate": settings.volume_initialization_rate,
        "volumeType": "gp3",
        "deleteOnTermination": True,
    }


def _nodes(node_class_name: str, settings: NodeImageSettings) -> JSON:
    return {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": node_class_name},
        "requirements": [requirement.manifest for requirement in settings.requirements],
    }


def _disruption() -> JSON:
    """How fast nodes are replaced, for example when there is a newer AMI: a tenth of them at a time."""
    return {
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "consolidateAfter": "5m",
        "budgets": [{"nodes": "10%"}],
    }


def _metadata(name: str) -> Mapping[str, object]:
    return {"name": name, "labels": {"app.kubernetes.io/managed-by": "model-injector"}}
