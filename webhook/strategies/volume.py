"""The strategy `volume`: a pod mounts a volume that the platform has filled, each model in its folder by layout."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import KeyPrefix
from webhook.kubernetes.patch import JSON
from webhook.strategies.strategy import Delivery, Location, Plan, Strategy, StrategyUnavailable, Target

_VOLUME: Final = "models-volume"
"""The volume's name in pods. Volumes of other strategies begin with `model-`, so no model's name leads to it."""
_NOT_CONFIGURED: Final = "the setting strategies.volume.source is empty"


class ClaimSource(Group):
    """A claim, as in a pod's volume (core/v1 PersistentVolumeClaimVolumeSource)."""

    claim_name: str = Field(pattern=f"^{SUBDOMAIN}$", max_length=253)
    """The name of a claim, which the namespace of each pod must have."""
    read_only: Literal[True] = True
    """Always true."""


class SecretReference(Group):
    """A Secret, named as in a pod's volume (core/v1 LocalObjectReference)."""

    name: str = Field(pattern=f"^{SUBDOMAIN}$", max_length=253)
    """The name of a Secret in the pod's namespace."""


class CSISource(Group):
    """An inline volume of a CSI driver, as in a pod (core/v1 CSIVolumeSource)."""

    driver: str = Field(pattern=f"^{SUBDOMAIN}$", max_length=63)
    """The name of a driver that supports inline volumes."""
    fs_type: str | None = None
    """The type of the file system."""
    volume_attributes: dict[str, str] | None = None
    """What the driver mounts."""
    node_publish_secret_ref: SecretReference | None = None
    """Credentials for the driver."""
    read_only: Literal[True] = True
    """Always true."""


class EphemeralSource(Group):
    """A new volume for each pod, as in a pod (core/v1 EphemeralVolumeSource)."""

    volume_claim_template: dict[str, Any]
    """The claim of the volume, which is created and deleted with the pod."""

    @field_validator("volume_claim_template")
    @classmethod
    def _has_a_spec(cls, template: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(template.get("spec"), dict) or not template.keys() <= {"metadata", "spec"}:
            raise ValueError("a volumeClaimTemplate has the keys spec and metadata, and needs spec")
        return template


class VolumeSource(Group):
    """The volume, as in the API of Kubernetes: one of the following."""

    persistent_volume_claim: ClaimSource | None = None
    """A claim, as in a pod: `{claimName: models}`. The namespace of each pod needs a claim of this name."""
    csi: CSISource | None = None
    """An inline volume of a CSI driver, as in a pod: `{driver: …, volumeAttributes: {…}}`."""
    ephemeral: EphemeralSource | None = None
    """A new volume for each pod, as in a pod: `{volumeClaimTemplate: {spec: {…}}}`. Its spec needs a dataSource that
    has the models, such as a snapshot."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.of_pod) > 1:
            raise ValueError(f"a volume has one source, and this one has {' and '.join(self.of_pod)}: keep one")
        return self

    @property
    def of_pod(self) -> Mapping[str, JSON]:
        """The source in a pod's volume. Empty if none is set."""
        return self.model_dump(by_alias=True, exclude_none=True)


class VolumeSettings(Group):
    """Settings of the strategy."""

    source: VolumeSource = VolumeSource()
    """The volume with the models."""
    folder: KeyPrefix = ""
    """The folder of the volume in which the models' folders are. Empty: the volume's root."""


def plan(deliveries: Sequence[Delivery[Any]], target: Target, settings: VolumeSettings) -> Plan:  # noqa: ARG001
    """One volume for all models. Raises StrategyUnavailable if none is configured."""
    source = settings.source.of_pod
    if not source:
        raise StrategyUnavailable(_NOT_CONFIGURED)
    folder = f"{settings.folder}/" if settings.folder else ""
    return Plan(
        locations=tuple(Location(_VOLUME, f"{folder}{delivery.artifact.folder}") for delivery in deliveries),
        volumes=({"name": _VOLUME, **source},),
    )


def availability(delivery: Delivery[Any], target: Target, settings: VolumeSettings) -> str | None:  # noqa: ARG001
    """Whether a volume is configured, and the cluster has its driver. Nothing tells which models a volume contains."""
    source = settings.source
    if not source.of_pod:
        return _NOT_CONFIGURED
    return target.inventory.driver_problem(source.csi.driver) if target.inventory and source.csi else None


STRATEGY: Final = Strategy(
    name="volume",
    summary="The pod mounts a volume that the platform names in the settings, and that has the models in folders.",
    plan=plan,
    settings=VolumeSettings,
    availability=availability,
    volume_types=("persistentVolumeClaim", "csi", "ephemeral"),
)
