"""The metrics of /metrics, in Prometheus' text format."""

import math
import platform
from collections.abc import Callable, Sized
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from webhook import __version__

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5)


class SourceFigures(Protocol):
    """The figures of one source of the catalog."""

    @property
    def models(self) -> int:
        """The number of models."""

    @property
    def versions(self) -> int:
        """The number of versions."""

    @property
    def age(self) -> float | None:
        """Seconds since the last listing. None before the first one."""


class InventoryFigures(Protocol):
    """The figures of the inventory."""

    @property
    def claims(self) -> Sized:
        """The claims of models."""


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        build = Gauge(
            "model_injector_build_info", "The running version.", ["version", "python"], registry=self._registry
        )
        build.labels(__version__, platform.python_version()).set(1)
        self.decisions = Counter(
            "model_injector_decisions",
            "AdmissionReviews answered, by decision.",
            ["kind", "decision", "reason"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "model_injector_decision_seconds",
            "From the start of a request to its response.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.bad_requests = Counter(
            "model_injector_bad_requests",
            "Requests with an invalid or oversized AdmissionReview.",
            ["status"],
            registry=self._registry,
        )
        self.errors = Counter(
            "model_injector_errors", "Requests answered with 500: internal errors.", registry=self._registry
        )
        self.previews = Counter(
            "model_injector_previews", "Previews answered, by HTTP status.", ["status"], registry=self._registry
        )
        self.certificate_expiry = Gauge(
            "model_injector_certificate_expiry_timestamp_seconds",
            "When the serving certificate (leaf) and the last certificate of the caBundle (ca) expire.",
            ["certificate"],
            registry=self._registry,
        )
        self.certificate_reloads = Counter(
            "model_injector_certificate_reloads", "Serving certificates loaded.", registry=self._registry
        )
        self.certificate_errors = Counter(
            "model_injector_certificate_errors",
            "Failed refreshes of the certificate or the caBundle; the previous certificate stays in use.",
            registry=self._registry,
        )

        self.catalog_errors = Counter(
            "model_injector_catalog_errors",
            "Failed listings and lookups: Unreachable, Denied, NotFound, TooLarge, Unsupported, Unreadable, Partial or "
            "Unexpected.",
            ["source", "kind"],
            registry=self._registry,
        )
        self.catalog_lookups = Counter(
            "model_injector_catalog_lookups",
            "Lookups of versions in S3: listed, published, unmanaged, unfinished, absent, unreadable, denied, "
            "unreachable or late.",
            ["state"],
            registry=self._registry,
        )
        self._catalog = {
            name: Gauge(f"model_injector_catalog_{name}", text, ["source"], registry=self._registry)
            for name, text in {
                "age_seconds": "Since the last listing of the source; infinite before the first one.",
                "models": "Models in the source.",
                "versions": "Versions in the source.",
            }.items()
        }

        self.inventory_errors = Counter(
            "model_injector_inventory_errors",
            "Failed readings of the inventory; the previous one stays in use for a while.",
            registry=self._registry,
        )

    def watch_catalog(self, source: str, status: Callable[[], SourceFigures]) -> None:
        """Export the figures of a source. `status` is called at each scrape."""

        def age() -> float:
            seconds = status().age
            return math.inf if seconds is None else seconds

        self._catalog["age_seconds"].labels(source).set_function(age)
        self._catalog["models"].labels(source).set_function(lambda: status().models)
        self._catalog["versions"].labels(source).set_function(lambda: status().versions)

    def watch_inventory(self, age: Callable[[], float], inventory: Callable[[], InventoryFigures | None]) -> None:
        """Export the age of the inventory in seconds, and its size. Both functions are called at each scrape."""
        gauges = {
            "age_seconds": ("Since the last reading of the inventory; infinite before the first one.", age),
            "claims": (
                "Claims of models in the inventory.",
                lambda: len(found.claims) if (found := inventory()) else 0,
            ),
        }
        for name, (text, value) in gauges.items():
            Gauge(f"model_injector_inventory_{name}", text, registry=self._registry).set_function(value)

    def render(self) -> bytes:
        """The body of /metrics."""
        return generate_latest(self._registry)
