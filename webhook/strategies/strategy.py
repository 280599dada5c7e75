"""What a strategy is given, what it answers, and what it has to offer."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from webhook.catalog import Artifact
from webhook.kubernetes.pod import Container, Pod, PodSpec
from webhook.model.request import ModelRequest
from webhook.settings import Settings

JSON: TypeAlias = dict[str, Any]


class Delivery(msgspec.Struct, frozen=True):
    """One model on its way into a pod."""

    request: ModelRequest
    artifact: Artifact
    slug: str
    """Its name among the pod's models: a DNS label of at most 57 characters."""


class Location(msgspec.Struct, frozen=True):
    """Where a delivered model's files stand."""

    volume: str
    """The volume's name."""
    path: str
    """The folder within it, relative to its root."""
    exclusive: bool
    """Whether the volume holds delivered models under their folders and nothing else: then it may be mounted whole."""


class Plan(msgspec.Struct, frozen=True):
    """What a pod needs for its deliveries, apart from the mounts and the environment of its own containers."""

    volumes: tuple[JSON, ...]
    init_containers: tuple[JSON, ...]
    folders: tuple[Location, ...]
    """One for each delivery, in their order."""
    warnings: tuple[str, ...] = ()


class Strategy(Protocol):
    """A way for models to get into a pod; a module with these functions is one."""

    def plan(self, deliveries: Sequence[Delivery], pod: Pod, settings: Settings) -> Plan:
        """All that `pod` needs for these deliveries, also what is there already. Pure. Raises Refusal."""

    def is_planned(self, existing: Container, planned: JSON) -> bool:
        """Whether the `existing` init container is the `planned` one, whatever other webhooks have added to it."""

    def delivered(self, spec: PodSpec) -> Iterable[str]:
        """The URIs of the models that a pod has by this way already, whatever settings it got them under."""
