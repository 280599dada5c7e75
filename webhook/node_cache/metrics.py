"""The metrics of the driver on one node, in Prometheus' text format."""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

_PREFIX: Final = "model_injector_node_cache"
GAUGES: Final[Mapping[str, str]] = {
    "used_bytes": "What the cache holds.",
    "budget_bytes": "What the cache may hold.",
    "free_bytes": "What it may add to the disk.",
    "versions": "Versions in the cache.",
    "mounted_versions": "Versions that pods mount.",
}
"""The help texts of the gauges."""


class CacheMetrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.hits = self._counter("hits", "Volumes of versions that the node had.")
        self.misses = self._counter("misses", "Volumes whose pods waited for a download.")
        self.seconds_saved = self._counter("seconds_saved", "The durations of downloads that hits made unnecessary.")
        self.evictions = self._counter("evictions", "Versions that made room for others.")
        self.downloaded = self._counter("downloaded_bytes", "What was downloaded.")
        self.marking_failures = self._counter("marking_failures", "Changes of the node's labels and taint that failed.")
        self.from_peers = self._counter("peer_bytes", "What was downloaded from other nodes.")
        self.failures = self._counter("failures", "Volumes and downloads that failed.", "reason")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def hit(self, seconds: float) -> None:
        """A volume needs no download, which took `seconds`."""
        self.hits.inc()
        self.seconds_saved.inc(seconds)

    def watch(self, gauges: Mapping[str, Callable[[], float]]) -> None:
        """Export GAUGES: by name, a function that is called at each scrape."""
        for name, text in GAUGES.items():
            Gauge(f"{_PREFIX}_{name}", text, registry=self._registry).set_function(gauges[name])

    def render(self) -> bytes:
        """The body of /metrics."""
        return generate_latest(self._registry)
