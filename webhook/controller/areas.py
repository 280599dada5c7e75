"""The areas of the controller. Each watches some collections, and decides about them in a loop of its own."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from webhook.controller import loads
from webhook.controller.loop import Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Claim, Cluster, Job, Key, Observed
from webhook.controller.published import Published
from webhook.controller.steps import CLAIMS, JOBS, NAMESPACES, REFERENCES, VOLUMES, Resource
from webhook.http.log import FIELDS
from webhook.settings import Settings

MANAGED = "app.kubernetes.io/managed-by=model-injector"
_log = logging.getLogger(__name__)


class Watch(NamedTuple):
    """A collection that an area needs."""

    resource: Resource
    kind: type[Observed]
    selector: str = ""
    """A label selector."""
    namespace: str = ""
    """Empty: all namespaces."""
    is_optional: bool = False
    """Whether the cluster may lack the resource."""


class State(Protocol):
    """What is known when an area decides."""

    def published(self) -> Published:
        """The catalog."""

    def objects(self, resource: Resource) -> Mapping[Key, Any]:
        """The objects of a resource; empty for one that no area watches."""


class Area(Protocol):
    """One thing that the controller takes care of."""

    name: str

    def watches(self) -> Iterator[Watch]:
        """The collections that it needs."""

    def decide(self, state: State) -> float | None:
        """Decide, and take the steps. Returns after how many seconds to decide again in any case."""


class Loads:
    """Makes the published versions ready that the setting `loads` selects."""

    name = "loads"

    def __init__(self, settings: Settings, metrics: ControllerMetrics, taker: Taker) -> None:
        self._settings, self._metrics, self._taker = settings, metrics, taker
        self._problems: tuple[str, ...] = ()

    def watches(self) -> Iterator[Watch]:
        """The objects of versions, and the namespaces that get them."""
        strategies = {load.strategy for load in self._settings.loads}
        shared = self._settings.of_strategies["shared-volume"]
        is_shared = "shared-volume" in strategies
        if strategies & {"shared-volume", "s3-mount"}:
            yield Watch(NAMESPACES, Observed)
            yield Watch(CLAIMS, Claim, MANAGED)
        if "s3-mount" in strategies:
            yield Watch(VOLUMES, Observed, MANAGED)
        if is_shared and shared.sharing == "trident":
            yield Watch(REFERENCES, Observed, MANAGED, is_optional=True)
        homes = {"oci-image": self._settings.controller.namespace}
        if is_shared:
            homes["shared-volume"] = shared.namespace if shared.sharing == "trident" else ""
        namespaces = {homes[strategy] for strategy in strategies & homes.keys()}
        if namespaces:
            yield Watch(JOBS, Job, MANAGED, namespaces.pop() if len(namespaces) == 1 else "")

    def decide(self, state: State) -> float | None:
        """Decide, and take the steps."""
        outcome = loads.decide(state.published(), cluster_of(state), self._settings)
        self._metrics.loaded(outcome.states, outcome.capacities)
        for problem in set(outcome.problems) - set(self._problems):
            _log.warning("load hindered", extra={FIELDS: {"problem": problem}})
        self._problems = outcome.problems
        return self._taker.take(outcome.steps)


def cluster_of(state: State) -> Cluster:
    """What is observed for loads."""
    read: Callable[[Resource], Mapping[Key, Any]] = state.objects
    return Cluster(*map(read, (NAMESPACES, CLAIMS, JOBS, VOLUMES, REFERENCES)))
