"""The strategy `node-image`: the nodes have the model, baked into their AMI or into the snapshot of a data volume.

nodes.py decides which nodes these are, objects.py renders their pool and their volumes, and files.py what bakes them.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from webhook.errors import InvalidInput
from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name
from webhook.model.refusals import Conflict
from webhook.strategies.node_image.files import bake_files, component_name
from webhook.strategies.node_image.image import NodeImage, node_images, unknown_sizes
from webhook.strategies.node_image.nodes import check_nodes, in_words, node_labels
from webhook.strategies.node_image.objects import NAME, has_pool, pool, volumes_and_claims
from webhook.strategies.node_image.settings import DEFAULT_CLUSTER, NodeImageSettings
from webhook.strategies.strategy import Delivery, Location, ManifestRequest, Manifests, Plan, Strategy, Target

__all__ = ["STRATEGY", "NodeImageSettings"]


def plan(deliveries: Sequence[Delivery[Any]], target: Target, settings: NodeImageSettings) -> Plan:
    """A volume for each model, and the nodes that have all of them.

    Raises Conflict if no node has all of them, and if the pod selects other nodes.
    """
    labels = _common_labels([delivery.artifact for delivery in deliveries], settings)
    check_nodes(target.pod.spec, labels)
    volumes = {f"model-{delivery.slug}": _source(delivery.artifact, settings) for delivery in deliveries}
    return Plan(
        locations=tuple(map(Location, volumes)),
        volumes=tuple({"name": name, **source} for name, source in volumes.items()),
        node_selector=labels,
        tolerations=_tolerations(settings),
        warnings=() if settings.volume == "claim" else (_HOST_PATH_WARNING,),
    )


_HOST_PATH_WARNING: Final = (
    "the model is a hostPath volume (strategies.node-image.volume), which the Pod Security Standards baseline and "
    "restricted forbid; a namespace that enforces one of them refuses the pod"
)


def availability(delivery: Delivery[Any], target: Target, settings: NodeImageSettings) -> str | None:
    """Whether the namespace has the claim that the pod would mount."""
    if target.inventory is None or settings.volume == "hostPath":
        return None
    return target.inventory.claim_problem(target.namespace, claim_name(NAME, delivery.artifact))


def manifests(request: ManifestRequest, settings: NodeImageSettings) -> Manifests:
    """The pool of nodes, the claims of each namespace, and the files that bake the image. Raises InvalidInput."""
    images = node_images(request.artifacts, settings, request.annotation_prefix)
    if settings.snapshot_id and len(images) > 1:
        raise InvalidInput(
            f"strategies.node-image.snapshotId is one snapshot, and the versions are in {len(images)} images; ask for "
            "those of one image"
        )
    objects = [each for image in images if has_pool(image) for each in pool(image, settings)]
    if settings.volume == "claim":
        objects += [
            each
            for namespace in request.namespaces
            for image in images
            for each in volumes_and_claims(image, namespace, request.annotation_prefix, settings)
        ]
    return Manifests(tuple(objects), bake_files(images, settings), _hints(images, settings))


def _common_labels(artifacts: Sequence[Artifact], settings: NodeImageSettings) -> Mapping[str, str]:
    first, *others = artifacts
    labels = node_labels(first.model, first.version, settings)
    for other in others:
        others_labels = node_labels(other.model, other.version, settings)
        if others_labels != labels:
            raise Conflict(
                f"no node has both models: {first.folder} is on the nodes with {in_words(labels)}, and {other.folder} "
                f"on those with {in_words(others_labels)}; use another strategy for one of them, or have the platform "
                "bake both into one image and select it by strategies.node-image.nodeSelector"
            )
    return labels


def _source(artifact: Artifact, settings: NodeImageSettings) -> JSON:
    if settings.volume == "hostPath":
        return {"hostPath": {"path": f"{settings.path}/{artifact.folder}", "type": "Directory"}}
    return {"persistentVolumeClaim": {"claimName": claim_name(NAME, artifact), "readOnly": True}}


@lru_cache(maxsize=16)
def _tolerations(settings: NodeImageSettings) -> tuple[JSON, ...]:
    """Cached: identical for all pods. Callers must not mutate the result."""
    return tuple(toleration.manifest for toleration in settings.tolerations)


def _hints(images: Sequence[NodeImage], settings: NodeImageSettings) -> tuple[str, ...]:
    hints = list[str]()
    for image in images:
        prefix = f"{image.name}." if len(images) > 1 else ""
        hints.append(
            f"packer init {prefix}packer.pkr.hcl && packer build -only=amazon-ebs.image -var region=REGION -var "
            f"iam_instance_profile=PROFILE {prefix}packer.pkr.hcl"
        )
        hints.append(
            f"Or, with EC2 Image Builder: aws imagebuilder create-component --name {component_name(image)} "
            f"--semantic-version 1.0.0 --platform Linux --data file://{prefix}image-builder-component.yaml, then aws "
            f"imagebuilder create-image-recipe --cli-input-json file://{prefix}image-builder-recipe.json, with the "
            "region and the account of the component in the recipe"
        )
        if not has_pool(image):
            hints.append(
                f"The nodes are selected by {in_words(image.labels)}, a label that a NodePool cannot set, so the "
                "objects have none: let the nodes' own pool use the AMI"
            )
    if settings.cluster_name == DEFAULT_CLUSTER:
        hints.append(
            f"The EC2NodeClass is for a cluster named {DEFAULT_CLUSTER} with the role {settings.role}: set "
            "strategies.node-image.clusterName and nodeRole"
        )
    if unknown := unknown_sizes(images):
        hints.append(
            f"The catalog does not know the size of {', '.join(unknown)}: set strategies.node-image.volumeSize so that "
            "the volume has room for it"
        )
    hints.append("Create the image first, and apply the objects once it exists: the claims say that it is ready.")
    return tuple(hints)


STRATEGY: Final = Strategy(
    name=NAME,
    summary="The pod runs on a node that has the model, in its AMI or on a data volume, and mounts the folder.",
    plan=plan,
    settings=NodeImageSettings,
    availability=availability,
    manifests=manifests,
    volume_types=("persistentVolumeClaim", "hostPath"),
)
