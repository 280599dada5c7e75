"""The contract of a strategy: its declaration, its input and its output.

A strategy is a module of this package that defines `STRATEGY`, and is listed in `webhook.strategies`. Its annotations,
settings, documentation, chart schema and guard are derived from the declaration.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from webhook.fetching.settings import FetchSettings
from webhook.fields.annotation import Annotation
from webhook.fields.group import Group
from webhook.inventory.inventory import Inventory
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Pod
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest

O = TypeVar("O")  # noqa: E741 - O stands for options


class StrategyUnavailable(Refusal):
    """None of the strategies that the pod lists is available for the model."""

    reason = "StrategyUnavailable"


class NoOptions(msgspec.Struct, frozen=True):
    """The options of a strategy that declares no annotations."""


class Delivery(msgspec.Struct, Generic[O], frozen=True):
    """One model that a strategy delivers into a pod."""

    request: ModelRequest
    artifact: Artifact
    slug: str
    """The model's unique name in the pod: a DNS label of at most 57 characters."""
    options: O
    """The values of the strategy's annotations."""


class Target(NamedTuple):
    """The pod that gets the models, and the namespace in which it is created."""

    pod: Pod
    namespace: str
    init_container_index: int = 0
    """Where the pod's init containers from strategies are inserted."""
    inventory: Inventory | None = None
    """What the cluster has ready. None if that is unknown, in which case no strategy is unavailable for its lack."""


class Location(msgspec.Struct, frozen=True):
    """The location of a delivered model's files in the pod's volumes."""

    volume: str
    """The name of the pod's volume."""
    sub_path: str = ""
    """The model's folder in the volume, relative to its root. Empty: the volume's root is the model's folder."""
    is_exclusive: bool = False
    """Whether the volume contains only delivered models, so that the whole volume may be mounted."""
    is_writable: bool = False
    """Whether containers can write to the files."""


class Plan(msgspec.Struct, frozen=True):
    """What a pod needs for the models that one strategy delivers.

    Mounts, environment variables and the annotation `injected` are derived from the locations. A plan is complete: the
    patch omits what the pod already has.
    """

    locations: tuple[Location, ...]
    """The location of each model, in the order of the deliveries."""
    volumes: tuple[JSON, ...] = ()
    """Objects of the type core/v1 Volume."""
    init_containers: tuple[JSON, ...] = ()
    """Objects of the type core/v1 Container. May include native sidecars."""
    node_selector: Mapping[str, str] = {}
    preferred_node_labels: tuple[str, ...] = ()
    """Labels of nodes, with the value `true`, on which the scheduler places the pod if it can. Without the prefix."""
    tolerations: tuple[JSON, ...] = ()
    """Objects of the type core/v1 Toleration."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets."""
    scheduling_gates: tuple[str, ...] = ()
    """Names of gates."""
    annotations: Mapping[str, str] = {}
    """Annotations of the pod for other controllers, by their full names."""
    warnings: tuple[str, ...] = ()


class ManifestRequest(msgspec.Struct, frozen=True):
    """What somebody wants manifests for."""

    artifacts: tuple[Artifact, ...]
    namespaces: tuple[str, ...]
    """The namespaces whose pods get the models."""
    stage: str
    """One of the strategy's stages. Empty if it has none."""
    annotation_prefix: str
    """The prefix of annotations and labels."""
    fetch: FetchSettings
    """The settings of containers that download."""


class Manifests(msgspec.Struct, frozen=True):
    """What a strategy needs in the cluster, and beside it."""

    objects: tuple[JSON, ...]
    """Kubernetes objects, in the order in which they are applied."""
    files: Mapping[str, str] = {}
    """Files for other tools, by name."""
    hints: tuple[str, ...] = ()
    """What to do after applying the objects, one sentence or command each."""


def always_available(delivery: Delivery[Any], target: Target, settings: Any) -> None:
    """The `availability` of a strategy that does not depend on the state of the cluster."""


def no_problem(settings: Any, sources: Collection[str], has_catalog: bool) -> None:
    """The `problem` of a strategy whose settings depend on no others."""


def no_credentials(settings: Any) -> bool:  # noqa: ARG001
    """The `needs_credentials` of a strategy whose files are already in the cluster."""
    return False


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """The declaration of a strategy."""

    name: str
    """The value of the annotation `strategy`."""
    summary: str
    """One sentence for the documentation: how the model gets into the pod."""
    plan: Callable[[Sequence[Delivery[Any]], Target, Any], Plan]
    """The plan for all deliveries to a pod; the last argument is the strategy's settings. Pure. Raises Refusal."""
    annotations: tuple[Annotation, ...] = ()
    """The annotations that the strategy reads. Several strategies may share a declaration."""
    options: type[msgspec.Struct] = NoOptions
    """A frozen Struct with a field for each annotation, such as `size_limit` for `size-limit`."""
    settings: type[Group] = Group
    """The type of the settings at `settings_path`."""
    problem: Callable[[Any, Collection[str], bool], str | None] = no_problem
    """What is wrong with these settings, given the names of the sources, and whether there is a catalog."""
    settings_path: str = ""
    """The path of the settings; `strategies.<name>` if empty."""
    availability: Callable[[Delivery[Any], Target, Any], str | None] = always_available
    """The reason why the strategy cannot deliver a model to a pod; None if it can. The last argument is the strategy's
    settings. Pure."""
    needs_credentials: Callable[[Any], bool] = no_credentials
    """Whether the pod's service account needs access to the source; the argument is the strategy's settings. The
    default service account is set only in this case."""
    manifests: Callable[[ManifestRequest, Any], Manifests] | None = None
    """The objects that the platform creates before pods can use the strategy; the last argument is the strategy's
    settings. Pure and deterministic. Raises InvalidInput. None if nothing is needed."""
    stages: tuple[str, ...] = ()
    """The stages in which its manifests are applied, if they cannot be applied at once."""
    volume_types: tuple[str, ...] = ()
    """The volume types that prove a delivery, such as `persistentVolumeClaim`: the chart's guard expects one of them in
    the pod. Empty: the guard expects init containers that run fetch.sh."""

    @property
    def path(self) -> str:
        """The path of the settings."""
        return self.settings_path or f"strategies.{self.name}"
