"""The metrics of the controller, in Prometheus' text format."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

from webhook.controller.capacity import Capacity
from webhook.controller.progress import Figures

_PREFIX: Final = "model_injector_controller"


class ControllerMetrics:
    """The metrics of one process. Those of decisions are set only by the leader."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.leader = self._gauge("leader", "1 if this process is the elected one.")
        self.steps = self._counter(
            "steps",
            "Changes to the cluster: create, label, rewrite, delete or emit an event, with the result ok, conflict or "
            "error.",
            "step",
            "result",
        )
        self.requests = self._counter("requests", "Requests to the API server.", "method", "status")
        self.errors = self._counter(
            "errors",
            "Failed readings and decisions of an area: loads, cleaning, progress, withdrawals, rollouts or catalog.",
            "area",
        )
        self.deleted = self._counter("deleted", "Objects whose deletion was requested.", "kind")
        self.tagged = self._counter(
            "tagged", "Versions whose objects in S3 got the tag of clean-up (tag), or lost it (untag).", "step"
        )
        self._loads = self._gauge(
            "loads", "Versions that loads select: ready, loading, waiting, outdated or failed.", "strategy", "state"
        )
        self._limits = self._gauge("load_capacity_bytes", "The capacity of a load.", "load")
        self._requested = self._gauge("load_requested_bytes", "The storage that a load's claims request.", "load")
        self._rollouts = self._gauge(
            "rollouts",
            "Workloads that follow a version: current, waiting, held, progressing, undone or blocked.",
            "state",
        )
        self._downloads = {
            field: self._gauge(name, text, "namespace", "model")
            for field, name, text in (
                ("count", "downloads", "Downloads under way."),
                ("bytes", "download_bytes", "What downloads under way have in their volumes."),
                ("total", "download_total_bytes", "The size of the models of downloads under way."),
                ("speed", "download_bytes_per_second", "The speed of downloads under way."),
            )
        }

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def watch(self, ages: Mapping[str, Callable[[], float]]) -> None:
        """Export the time since each watched resource was heard of. The functions are called at each scrape."""
        gauge = self._gauge("watch_age_seconds", "Since the API server last sent news or a bookmark.", "resource")
        for resource, age in ages.items():
            gauge.labels(resource).set_function(age)

    def loaded(self, states: Mapping[tuple[str, str], int], capacities: tuple[Capacity, ...]) -> None:
        """Export the state of loads."""
        self._loads.clear()
        for labels, count in states.items():
            self._loads.labels(*labels).set(count)
        for capacity in capacities:
            self._limits.labels(capacity.name).set(float(capacity.limit) if capacity.limit is not None else math.inf)
            self._requested.labels(capacity.name).set(float(capacity.requested))

    def followed(self, states: Mapping[str, int]) -> None:
        """Export the states of workloads that follow a version."""
        for state, count in states.items():
            self._rollouts.labels(state).set(count)

    def downloading(self, figures: Mapping[tuple[str, str], Figures]) -> None:
        """Export the downloads under way, by namespace and model."""
        for field, gauge in self._downloads.items():
            gauge.clear()
            for labels, figure in figures.items():
                gauge.labels(*labels).set(getattr(figure, field))

    def render(self) -> bytes:
        """The body of /metrics."""
        return generate_latest(self._registry)
