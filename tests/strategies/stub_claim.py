"""A strategy for tests: every model lies in a folder of one claim, which the platform has filled."""

from collections.abc import Sequence
from typing import Final

import msgspec
from pydantic import Field

from webhook.fields.annotation import Annotation
from webhook.fields.group import Group
from webhook.fields.parsers import label
from webhook.strategies.strategy import Delivery, Location, Plan, Strategy, Target

_VOLUME: Final = "models-of-the-platform"


class StubSettings(Group):
    """The claim, and what it holds."""

    claim: str = Field(default="models", min_length=1)
    """Name of the claim that a pod mounts if its annotations name no claim."""
    ready: tuple[str, ...] = ()
    """The folders that the claim holds."""


class StubOptions(msgspec.Struct, frozen=True):
    """What a pod may say about it."""

    claim_name: str


def plan(deliveries: Sequence[Delivery[StubOptions]], target: Target, settings: StubSettings) -> Plan:  # noqa: ARG001
    """One volume with the claim, and each model in its folder."""
    (claim,) = {delivery.options.claim_name for delivery in deliveries}
    return Plan(
        locations=tuple(Location(_VOLUME, f"models/{delivery.artifact.folder}") for delivery in deliveries),
        volumes=({"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},),
    )


def availability(delivery: Delivery[StubOptions], target: Target, settings: StubSettings) -> str | None:
    """Whether the platform has filled the folder."""
    if delivery.artifact.folder in settings.ready:
        return None
    return f"the claim of {target.namespace} does not hold {delivery.artifact.folder} yet"


STRATEGY: Final = Strategy(
    name="stub-claim",
    summary="The pod mounts a claim that the platform has filled with models.",
    plan=plan,
    annotations=(
        Annotation(
            name="claim-name",
            allowed="the name of a claim",
            setting="strategies.stub-claim.claim",
            meaning="The claim that holds the model.",
            parse=label,
        ),
    ),
    options=StubOptions,
    settings=StubSettings,
    availability=availability,
    volume_types=("persistentVolumeClaim",),
)
