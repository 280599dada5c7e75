"""The areas of the controller. Each watches some collections, and decides about them in a loop of its own."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, Protocol

from webhook.annotations.contract import FOLLOW
from webhook.catalog.resolution import VersionKey
from webhook.controller import cleaning, loads, progress, rollouts, tags, withdrawals
from webhook.controller.cluster.cache import Cache
from webhook.controller.cluster.logs import last_line
from webhook.controller.cluster.watching import Watch
from webhook.controller.limits import IsLoaded
from webhook.controller.loop import Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Claim, Cluster, Job, Key, Observed, Pod, Volume
from webhook.controller.published import Published
from webhook.controller.steps import (
    ARGO_ROLLOUTS,
    CLAIMS,
    JOBS,
    NAMESPACES,
    PODS,
    REFERENCES,
    VOLUMES,
    Emit,
    Resource,
)
from webhook.controller.workloads import KINDS, Workload
from webhook.http.log import FIELDS
from webhook.inventory import inventory
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name
from webhook.model.request import ModelRequest
from webhook.settings import Settings
from webhook.usage.reading import read_usage

MANAGED: Final = "app.kubernetes.io/managed-by=model-injector"
_ROUND_SECONDS: Final = 10.0
_LOG_THREADS: Final = 8
_USAGE_SECONDS: Final = 300.0
"""How often the uses in the cluster are read to tell of withdrawn versions."""
_TOLD_SECONDS: Final = 1800.0
"""How long an event about a withdrawn version is not written again. Kubernetes deletes it after an hour."""
_log = logging.getLogger(__name__)


class State(Protocol):
    """What is known when an area decides."""

    def published(self) -> Published:
        """The catalog."""

    def objects(self, resource: Resource) -> Mapping[Key, Any]:
        """The objects of a resource; empty for one that no area watches."""

    def follow(self, references: frozenset[VersionKey]) -> None:
        """Resolve these references, and no others, in what `published` returns later."""


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
        return of_versions(self._settings)

    def decide(self, state: State) -> float | None:
        """Decide, and take the steps."""
        outcome = loads.decide(state.published(), cluster_of(state.objects), self._settings)
        self._metrics.loaded(outcome.states, outcome.capacities)
        for problem in set(outcome.problems) - set(self._problems):
            _log.warning("load hindered", extra={FIELDS: {"problem": problem}})
        self._problems = outcome.problems
        return self._taker.take(outcome.steps)


def of_versions(settings: Settings) -> Iterator[Watch]:
    """The objects of versions that loads are about, and the namespaces that get them."""
    strategies = {load.strategy for load in settings.loads}
    shared = settings.of_strategies["shared-volume"]
    is_shared = "shared-volume" in strategies
    if strategies & {"shared-volume", "s3-mount"}:
        yield Watch(NAMESPACES, Observed)
        yield Watch(CLAIMS, Claim, MANAGED)
    if "s3-mount" in strategies:
        yield Watch(VOLUMES, Volume, MANAGED)
    if is_shared and shared.sharing == "trident":
        yield Watch(REFERENCES, Observed, MANAGED, is_optional=True)
    homes = {"oci-image": settings.controller.namespace}
    if is_shared:
        homes["shared-volume"] = shared.namespace if shared.sharing == "trident" else ""
    namespaces = {homes[strategy] for strategy in strategies & homes.keys()}
    for namespace in ("",) if "" in namespaces else sorted(namespaces):
        yield Watch(JOBS, Job, MANAGED, namespace)


def cluster_of(objects: Callable[[Resource], Mapping[Key, Any]]) -> Cluster:
    """What is observed for loads. `objects` returns those of a resource."""
    return Cluster(*map(objects, (NAMESPACES, CLAIMS, JOBS, VOLUMES, REFERENCES)))


def read_cluster(api: KubernetesClient, settings: Settings) -> Cluster:
    """What is observed for loads, read once. Raises ClusterError."""
    cache = Cache(api)
    for watch in of_versions(settings):
        cache.watch(watch, lambda: None)
    cache.read()
    return cluster_of(cache.objects)


class Cleaning:
    """Removes what belongs to versions that nothing uses."""

    name = "cleaning"

    def __init__(self, settings: Settings, metrics: ControllerMetrics, taker: Taker, api: KubernetesClient) -> None:
        self._settings, self._metrics, self._taker, self._api = settings, metrics, taker, api
        self._removable: frozenset[str] = frozenset()
        """The versions that could have been tagged in S3 at the last run. They are tagged if they can be again."""
        self._next = 0.0

    def watches(self) -> Iterator[Watch]:
        """The objects of versions."""
        return of_versions(self._settings)

    def decide(self, state: State) -> float | None:
        """Read the uses in the cluster at each interval, decide, and take the steps.

        In between, only take back what was done to versions that are kept whether they are used or not, such as one
        that has an alias now.
        """
        published, cluster = state.published(), cluster_of(state.objects)
        if (left := self._next - monotonic()) > 0:
            again = self._take_back(published, cluster)
            return left if again is None else min(left, again)
        now = datetime.now(UTC)
        usage = read_usage(self._api, self._settings)
        plan = cleaning.plan(published, cluster, usage, self._settings, now)
        self._taker.take(plan.steps)
        removable = tags.removable(plan.reviews, usage)
        self._tag(removable & self._removable, tags.kept(plan.reviews), published)
        for problem in usage.problems[:1]:
            fields = {"problem": problem.text, "problems": len(usage.problems)}
            _log.warning("uses may be missing", extra={FIELDS: fields})
        self._removable, self._next = removable, monotonic() + self._settings.controller.cleaning.interval
        return float(self._settings.controller.cleaning.interval)

    def _take_back(self, published: Published, cluster: Cluster) -> float | None:
        known = {uri: published.by_uri[uri] for uri in self._removable & published.by_uri.keys()}
        needed = frozenset(uri for uri, version in known.items() if not version.is_expired)
        if needed:
            self._tag(frozenset(), needed, published)
            self._removable -= needed
        return self._taker.take(cleaning.taken_back(published, cluster, self._settings))

    def _tag(self, tagged: frozenset[str], untagged: frozenset[str], published: Published) -> None:
        """Change the tags in S3. What fails is tried again at the next run."""
        wanted = tags.changes(tagged, untagged, published, self._settings)
        made = tags.make(wanted.changes, self._settings)
        for change in made.changes:
            name = "tag" if change.is_tagged else "untag"
            self._metrics.tagged.labels(name).inc()
            _log.info("tags changed", extra={FIELDS: {"step": name, "target": change.artifact.uri}})
        for problem in (*wanted.problems, *made.problems):
            self._metrics.errors.labels(self.name).inc()
            _log.warning("tags not changed", extra={FIELDS: {"problem": problem}})


class Progress:
    """Tells how far downloads are: in metrics, and in an event of the pod."""

    name = "progress"

    def __init__(self, metrics: ControllerMetrics, taker: Taker, api: KubernetesClient, prefix: str) -> None:
        """`prefix`: the prefix of annotations and labels."""
        self._metrics, self._taker, self._api, self._prefix = metrics, taker, api, prefix
        self._threads = ThreadPoolExecutor(_LOG_THREADS, "logs")
        self._known: Mapping[progress.ContainerKey, progress.Known] = {}
        self._next = 0.0

    def watches(self) -> Iterator[Watch]:
        """All pods: a label could select those that download, but those of Jobs and of older webhooks have none."""
        yield Watch(PODS, Pod)

    def decide(self, state: State) -> float | None:
        """Read the logs of the downloads under way, every ten seconds."""
        if (left := self._next - monotonic()) > 0:
            return left
        self._next = monotonic() + _ROUND_SECONDS
        found = progress.downloads(state.objects(PODS).values(), self._prefix, self._known)
        read = progress.to_read(found)
        lines = zip(read, self._threads.map(self._last_line, read), strict=True)
        logs = {download.key: line for download, line in lines if line}
        result = progress.decide(found, logs, self._known, datetime.now(UTC))
        self._known = result.known
        self._metrics.downloading(result.figures)
        self._taker.take([(step,) for step in result.steps])
        return _ROUND_SECONDS if found or self._known else None

    def _last_line(self, download: progress.Download) -> str | None:
        try:
            return last_line(self._api, download.pod.namespace, download.pod.name, download.container)
        except ClusterError as error:
            self._metrics.errors.labels(self.name).inc()
            _log.info("log not read", extra={FIELDS: {"problem": str(error)}})
            return None


class Withdrawals:
    """Tells the users of withdrawn versions, in events of their pods."""

    name = "withdrawals"

    def __init__(self, settings: Settings, taker: Taker, api: KubernetesClient) -> None:
        self._settings, self._taker, self._api = settings, taker, api
        self._told: dict[withdrawals.UseKey, float] = {}
        """When the events were written, by the clock of `monotonic`."""
        self._next = 0.0

    def watches(self) -> Iterator[Watch]:
        """Nothing: while no version is withdrawn, nothing is read."""
        yield from ()

    def decide(self, state: State) -> float | None:
        """Read the uses in the cluster every few minutes, and write the events that are missing."""
        withdrawn = state.published().withdrawn
        if not withdrawn:
            self._told.clear()
            return None
        if (left := self._next - monotonic()) > 0:
            return left
        self._next = monotonic() + _USAGE_SECONDS
        told = {key for key, at in self._told.items() if monotonic() - at < _TOLD_SECONDS}
        found = withdrawals.events(read_usage(self._api, self._settings), withdrawn, told)
        self._told = {key: at for key, at in self._told.items() if key in found}
        missing = defaultdict[str, dict[withdrawals.UseKey, Emit]](dict)
        for key, event in found.items():
            if event:
                missing[event.of.namespace][key] = event
        for events in missing.values():
            if self._taker.take([(event,) for event in events.values()]) is None:
                self._told |= dict.fromkeys(
                    events, monotonic()
                )  # else all of the namespace are written again, which changes nothing
        return _USAGE_SECONDS


class Rollouts:
    """Restarts workloads that follow a version."""

    name = "rollouts"

    def __init__(self, settings: Settings, metrics: ControllerMetrics, taker: Taker) -> None:
        self._settings, self._metrics, self._taker = settings, metrics, taker
        self._problems: tuple[str, ...] = ()

    def watches(self) -> Iterator[Watch]:
        """The workloads with the label that the webhook sets, and the claims of versions. Argo Rollouts only if their
        templates are pinned: without the right to watch them, the controller would wait for them."""
        for kind in KINDS:
            group, is_argo = kind.resource.api_version.partition("/")[0], kind.resource is ARGO_ROLLOUTS
            if not is_argo or self._settings.workloads.names(group, kind.resource.plural):
                selector = f"{self._settings.annotation_prefix}/{FOLLOW}=true"
                yield Watch(kind.resource, kind, selector, is_optional=is_argo)
        yield Watch(CLAIMS, Claim, MANAGED)

    def decide(self, state: State) -> float | None:
        """Decide, and take the steps."""
        meanings, asked = state.published().meanings, set[VersionKey]()

        def meaning(request: ModelRequest) -> Artifact | str:
            reference = VersionKey(request.source, request.model, request.version)
            asked.add(reference)
            return meanings.get(reference, "the catalog has not resolved it yet")

        workloads: list[Workload] = [each for kind in KINDS for each in state.objects(kind.resource).values()]
        lack = lacking(state.objects(CLAIMS), self._settings)
        outcome = rollouts.decide(workloads, meaning, lack, self._settings, datetime.now(UTC))
        state.follow(frozenset(asked))
        self._metrics.followed(outcome.states)
        for problem in sorted(set(outcome.problems) - set(self._problems)):
            _log.info("rollout hindered", extra={FIELDS: {"problem": problem}})
        self._problems = outcome.problems
        seconds = (self._taker.take(outcome.steps), outcome.next_seconds)
        return min((each for each in seconds if each is not None), default=None)


def lacking(claims: Mapping[Key, Claim], settings: Settings) -> IsLoaded:
    """Why pods in a namespace cannot use an artifact by a strategy now, by what is in the claims."""
    found = {
        key: inventory.Claim(
            claim.labels.get(f"{settings.annotation_prefix}/state", ""),
            claim.status.phase,
            claim.spec.volume_name,
            claim.is_deleted,
        )
        for key, claim in claims.items()
    }
    known = inventory.Inventory(found, frozenset(), "")
    mounting = {"shared-volume", "s3-mount"}
    if settings.of_strategies["node-image"].volume == "claim":
        mounting.add("node-image")

    def lack(namespace: str, strategy: str, artifact: Artifact) -> str | None:
        if strategy in mounting:
            return known.claim_problem(namespace, claim_name(strategy, artifact))
        if strategy == "oci-image" and not (artifact.image or settings.of_strategies[strategy].image):
            return f"the catalog has no image of {artifact.model} {artifact.version}"
        return None

    return lack
