"""The strategy `shared-volume`: the pod mounts a claim whose volume a Job has filled, and which many pods share.

The manifests come in two stages: a Job loads the model, then the volume is given to pods. With Trident, one claim is
loaded, and each namespace has a claim that is bound to the same volume. Without, each namespace has a claim of its own,
which is loaded and mounted.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from webhook.errors import InvalidInput
from webhook.fetching.job import deadline, load_job
from webhook.fetching.volume import size_on_disk
from webhook.fields.group import Group
from webhook.fields.parsers import LABEL, SUBDOMAIN
from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name, job_name, labels
from webhook.strategies.strategy import Delivery, Location, ManifestRequest, Manifests, Plan, Strategy, Target

NAME: Final = "shared-volume"
STAGES: Final = (LOAD := "load", SHARE := "share")
_NAMESPACE: Final = f"^{LABEL}$"
_TRIDENT: Final = "trident.netapp.io"
_GIBIBYTE: Final = 1 << 30
_MANAGED: Final = {"app.kubernetes.io/managed-by": "model-injector"}


class BackendSettings(Group):
    """The Trident backend of FSx for NetApp ONTAP. It and the StorageClass are in the manifests if `svm` is set."""

    svm: str = Field(default="", pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$")
    """The storage virtual machine. Empty: the backend and the StorageClass exist, or the storage needs no backend."""
    namespace: str = Field(default="trident", pattern=_NAMESPACE)
    """The namespace in which Trident runs. It sees a TridentBackendConfig in no other."""
    management_lif: str = Field(default="", pattern=r"^[A-Za-z0-9.:_-]*$")
    """The address of the SVM's management endpoint. Empty: Trident asks FSx for it."""
    fsx_filesystem_id: str = Field(default="", pattern=r"^(fs-[0-9a-f]+)?$")
    """The ID of the file system, such as `fs-0123456789abcdef0`."""
    api_region: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """The region of the file system. Empty: the region that Trident runs in."""
    credentials: str = Field(default="", pattern=r"^(arn:aws[a-z-]*:secretsmanager:[A-Za-z0-9:/_+=.@-]+)?$")
    """The ARN of the secret in AWS Secrets Manager with the user and password of the SVM's administrator."""


class SharedVolumeSettings(Group):
    """The manifests of the strategy `shared-volume`."""

    sharing: Literal["trident", "none"] = "trident"
    """How namespaces share a volume. `trident`: the model is loaded once, and Trident shares the volume. `none`: each
    namespace has its own volume, into which the model is loaded."""
    namespace: str = Field(default="model-injector", pattern=_NAMESPACE)
    """The namespace of the claims and Jobs that load models, with `sharing: trident`."""
    storage_class: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The StorageClass of the claims. Its volumes must support ReadWriteMany. Required for manifests."""
    size_headroom: int = Field(default=20, ge=0, le=1000)
    """Percent that a claim exceeds the size of its model, for what the file system needs itself."""
    service_account: str = Field(default="model-loader", pattern=f"^{SUBDOMAIN}$")
    """The service account of the Jobs that load models. It needs access to the bucket."""
    backend: BackendSettings = BackendSettings()
    """The Trident backend."""


def plan(deliveries: Sequence[Delivery[Any]], target: Target, settings: SharedVolumeSettings) -> Plan:  # noqa: ARG001
    """A volume for each model, and the model's folder in it.

    `readOnly` is that of the volume, because drivers mount a claim writable whatever its access mode.
    """
    claims = {f"model-{delivery.slug}": claim_name(NAME, delivery.artifact) for delivery in deliveries}
    return Plan(
        locations=tuple(
            Location(volume, delivery.artifact.folder) for volume, delivery in zip(claims, deliveries, strict=True)
        ),
        volumes=tuple(
            {"name": volume, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            for volume, claim in claims.items()
        ),
    )


def availability(delivery: Delivery[Any], target: Target, settings: SharedVolumeSettings) -> str | None:  # noqa: ARG001
    """Whether the namespace has the claim, and the model was loaded."""
    if target.inventory is None:
        return None
    return target.inventory.claim_problem(target.namespace, claim_name(NAME, delivery.artifact))


def manifests(request: ManifestRequest, settings: SharedVolumeSettings) -> Manifests:
    """The objects of a stage. Raises InvalidInput if a size, the StorageClass or the namespaces are unknown."""
    if not settings.storage_class:
        raise InvalidInput("set strategies.shared-volume.storageClass to a StorageClass that supports ReadWriteMany")
    is_shared = settings.sharing == "trident"
    if not request.namespaces and not (is_shared and request.stage == LOAD):
        raise InvalidInput("the claims are in the namespaces of the pods: give --namespace")
    homes = (settings.namespace,) if is_shared else request.namespaces
    if request.stage == LOAD:
        return _load(request, settings, homes)
    return _share(request, settings) if is_shared else _release(request, settings)


def _load(request: ManifestRequest, settings: SharedVolumeSettings, homes: Iterable[str]) -> Manifests:
    loads = [(artifact, namespace) for artifact in request.artifacts for namespace in homes]
    objects = list(_storage(settings))
    for artifact, namespace in loads:
        objects.append(_claim(artifact, namespace, request, settings, state="loading"))
        objects.append(_job(artifact, namespace, request, settings))
    waits = (
        f"kubectl --namespace {namespace} wait --for=condition=complete --timeout={deadline(request.fetch)}s "
        f"job/{job_name(NAME, artifact)}"
        for artifact, namespace in loads
    )
    return Manifests(tuple(objects), hints=(*waits, f"When the Jobs are complete, apply the stage {SHARE}."))


def _release(request: ManifestRequest, settings: SharedVolumeSettings) -> Manifests:
    """Mark the claim of each namespace as ready."""
    claims = (
        _claim(artifact, namespace, request, settings, state="ready")
        for artifact in request.artifacts
        for namespace in request.namespaces
    )
    return Manifests((*_storage(settings), *claims))


def _share(request: ManifestRequest, settings: SharedVolumeSettings) -> Manifests:
    """Let Trident share the loaded volume with each namespace. The loader's own namespace mounts the loaded claim."""
    consumers = [namespace for namespace in request.namespaces if namespace != settings.namespace]
    objects = list(_storage(settings))  # also in this stage, so that a tool which prunes objects keeps them
    for artifact in request.artifacts:
        name = claim_name(NAME, artifact)
        # Trident compares the names between the commas as they are, so a space would be a part of one.
        shared = {f"{_TRIDENT}/shareToNamespace": ",".join(consumers)} if consumers else {}
        objects.append(_claim(artifact, settings.namespace, request, settings, state="ready", annotations=shared))
        for namespace in consumers:
            objects.append(_volume_reference(artifact, namespace, request, settings))
            objects.append(
                _claim(
                    artifact,
                    namespace,
                    request,
                    settings,
                    state="ready",
                    access_mode="ReadOnlyMany",
                    annotations={f"{_TRIDENT}/shareFromPVC": f"{settings.namespace}/{name}"},
                )
            )
    hints = (
        "The claims may be Pending until a pod mounts them.",
        f"Other namespaces lose access unless each command names them: shared with {','.join(consumers)}.",
    )
    return Manifests(tuple(objects), hints=hints if consumers else ())


def _claim(  # noqa: PLR0913 - keyword arguments, in which claims differ
    artifact: Artifact,
    namespace: str,
    request: ManifestRequest,
    settings: SharedVolumeSettings,
    *,
    state: str,
    access_mode: str = "ReadWriteMany",
    annotations: Mapping[str, str] = {},
) -> JSON:
    metadata: JSON = {
        "name": claim_name(NAME, artifact),
        "namespace": namespace,
        "labels": labels(request.annotation_prefix, artifact, state),
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**metadata, **({"annotations": annotations} if annotations else {})},
        "spec": {
            "storageClassName": settings.storage_class,
            "accessModes": [access_mode],
            "resources": {"requests": {"storage": _size(artifact, settings.size_headroom)}},
        },
    }


def _size(artifact: Artifact, headroom: int) -> str:
    if artifact.object_bytes is None:
        raise InvalidInput(f"the size of {artifact.folder} is unknown; set catalog.mode to s3, which reads it")
    return f"{size_on_disk(artifact, artifact.object_bytes, headroom, _GIBIBYTE) // _GIBIBYTE}Gi"


def _job(artifact: Artifact, namespace: str, request: ManifestRequest, settings: SharedVolumeSettings) -> JSON:
    return load_job(
        name=job_name(NAME, artifact),
        namespace=namespace,
        labels=labels(request.annotation_prefix, artifact),
        volume={"persistentVolumeClaim": {"claimName": claim_name(NAME, artifact)}},
        artifact=artifact,
        service_account=settings.service_account,
        settings=request.fetch,
    )


def _volume_reference(
    artifact: Artifact, namespace: str, request: ManifestRequest, settings: SharedVolumeSettings
) -> JSON:
    """The consent of a namespace to claims on another namespace's volume. Trident expects it before the claim."""
    return {
        "apiVersion": f"{_TRIDENT}/v1",
        "kind": "TridentVolumeReference",
        "metadata": {
            "name": claim_name(NAME, artifact),
            "namespace": namespace,
            "labels": labels(request.annotation_prefix, artifact),
        },
        "spec": {"pvcName": claim_name(NAME, artifact), "pvcNamespace": settings.namespace},
    }


def _storage(settings: SharedVolumeSettings) -> Iterator[JSON]:
    """The StorageClass and the backend of Trident, if the settings describe the backend."""
    if not settings.backend.svm:
        return
    yield {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": settings.storage_class, "labels": _MANAGED},
        "provisioner": "csi.trident.netapp.io",
        "parameters": {"backendType": "ontap-nas"},
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
    }
    yield _backend(settings.backend)


def _backend(backend: BackendSettings) -> JSON:
    name = re.sub("[._]", "-", f"{backend.svm.lower()}-nas")
    aws = _set({"fsxFilesystemID": backend.fsx_filesystem_id, "apiRegion": backend.api_region})
    credentials = {"name": backend.credentials, "type": "awsarn"} if backend.credentials else {}
    optional = _set({"managementLIF": backend.management_lif, "aws": aws, "credentials": credentials})
    return {
        "apiVersion": f"{_TRIDENT}/v1",
        "kind": "TridentBackendConfig",
        "metadata": {"name": name, "namespace": backend.namespace, "labels": _MANAGED},
        "spec": {
            "version": 1,
            "backendName": name,
            "storageDriverName": "ontap-nas",
            "svm": backend.svm,
            **optional,
        },
    }


def _set(fields: Mapping[str, object]) -> JSON:
    return {name: value for name, value in fields.items() if value}


STRATEGY: Final = Strategy(
    name=NAME,
    summary="The pod mounts a volume that many pods share, and into which a Job has loaded the model.",
    plan=plan,
    settings=SharedVolumeSettings,
    availability=availability,
    manifests=manifests,
    stages=STAGES,
    volume_types=("persistentVolumeClaim",),
)
