"""The contract of a strategy: what it declares, what it gets, and what it plans.

A strategy is one module of this package that defines `STRATEGY`, and its name in the list of `webhook.strategies`. Its
annotations, settings, documentation, chart schema and guard follow from what it declares here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from webhook.fields.annotation import Annotation
from webhook.fields.group import Group
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Pod
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest

O = TypeVar("O")  # noqa: E741 - the options of a strategy


class StrategyUnavailable(Refusal):
    """No strategy that the pod asks for can deliver the model now."""

    reason = "StrategyUnavailable"


class NoOptions(msgspec.Struct, frozen=True):
    """The options of a strategy without annotations of its own."""


class Delivery(msgspec.Struct, Generic[O], frozen=True):
    """One model that a strategy delivers into a pod."""

    request: ModelRequest
    artifact: Artifact
    slug: str
    """The model's name within the pod: a DNS label of at most 57 characters."""
    options: O
    """The values of the strategy's own annotations."""


class Target(NamedTuple):
    """The pod that gets the models, and what the webhook knows about the place where it is created."""

    pod: Pod
    namespace: str


class Location(msgspec.Struct, frozen=True):
    """Where a delivered model's files are."""

    volume: str
    """The name of the pod's volume."""
    sub_path: str = ""
    """The model's folder in the volume, relative to its root. Empty: the volume's root is the model's folder."""
    is_exclusive: bool = False
    """Whether the volume holds nothing but delivered models, so that it may be mounted whole."""
    is_writable: bool = False
    """Whether containers can write to the files."""


class Plan(msgspec.Struct, frozen=True):
    """What a pod needs for the models that one strategy delivers.

    Mounts, environment variables and the annotation `injected` follow from the locations. Everything that the pod has
    already is left out of the patch, so a plan describes the whole.
    """

    locations: tuple[Location, ...]
    """The location of each model, in the order of the deliveries."""
    volumes: tuple[JSON, ...] = ()
    """core/v1 Volume."""
    init_containers: tuple[JSON, ...] = ()
    """core/v1 Container, native sidecars among them."""
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[JSON, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets."""
    scheduling_gates: tuple[str, ...] = ()
    """Names of gates."""
    annotations: Mapping[str, str] = {}
    """Annotations of the pod for other controllers, with their whole names."""
    warnings: tuple[str, ...] = ()


def always_available(delivery: Delivery[Any], target: Target, settings: Any) -> None:
    """The availability of a strategy that depends on nothing in the cluster."""


def no_credentials(settings: Any) -> bool:  # noqa: ARG001
    """The needs of a strategy whose files are in the cluster already."""
    return False


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A way for models to get into a pod."""

    name: str
    """The value of the annotation `strategy`."""
    summary: str
    """One sentence for the documentation: how the model gets into the pod."""
    plan: Callable[[Sequence[Delivery[Any]], Target, Any], Plan]
    """All that a pod needs for these deliveries, by the strategy's settings. Pure. Raises Refusal."""
    annotations: tuple[Annotation, ...] = ()
    """Annotations of its own. Strategies may share a declaration."""
    options: type[msgspec.Struct] = NoOptions
    """A frozen Struct with a field for each of its annotations, `size_limit` for `size-limit`."""
    settings: type[Group] = Group
    """The group of its settings, which stands at `settings_path`."""
    settings_path: str = ""
    """Where its settings stand; `strategies.<name>` where this is empty."""
    availability: Callable[[Delivery[Any], Target, Any], str | None] = always_available
    """Why it cannot deliver a model to a pod now, by its settings. None where it can. Pure."""
    needs_credentials: Callable[[Any], bool] = no_credentials
    """Whether the pod's service account needs access to the source, by the strategy's settings. Only then does the
    default service account apply."""
    volume_types: tuple[str, ...] = ()
    """The types of volumes that show that it has delivered, such as `persistentVolumeClaim`: one of them has to be in
    the pod. Empty: it delivers by init containers that run fetch.sh."""

    @property
    def path(self) -> str:
        """The path of its settings."""
        return self.settings_path or f"strategies.{self.name}"
