"""A strategy for tests: every model is an image, whose files stand at the image's root."""

from collections.abc import Sequence
from typing import Any, Final

from webhook.strategies.strategy import Delivery, Location, Plan, Strategy, Target


def plan(deliveries: Sequence[Delivery[Any]], target: Target, settings: object) -> Plan:  # noqa: ARG001
    """A volume for each model."""
    volumes = {
        f"model-{delivery.slug}": f"registry.example.com/{delivery.artifact.model}:{delivery.artifact.version}"
        for delivery in deliveries
    }
    return Plan(
        locations=tuple(map(Location, volumes)),
        volumes=tuple({"name": name, "image": {"reference": image}} for name, image in volumes.items()),
    )


STRATEGY: Final = Strategy(
    name="stub-image",
    summary="The pod mounts an image of the model.",
    plan=plan,
    volume_types=("image",),
)
