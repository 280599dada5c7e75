"""What /metrics shows, in Prometheus' text format."""

import math
import platform
from collections.abc import Callable
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from webhook import __version__

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5)


class SourceFigures(Protocol):
    """The figures of a source of the catalog."""

    @property
    def models(self) -> int:
        """The number of its models."""

    @property
    def versions(self) -> int:
        """The number of its versions."""

    @property
    def age(self) -> float | None:
        """Seconds since it was listed. None where it never was."""


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        build = Gauge("model_injector_build_info", "What runs here.", ["version", "python"], registry=self._registry)
        build.labels(__version__, platform.python_version()).set(1)
        self.decisions = Counter(
            "model_injector_decisions", "Reviews decided on.", ["kind", "decision", "reason"], registry=self._registry
        )
        self.seconds = Histogram(
            "model_injector_decision_seconds",
            "From a request's first byte here to its answer.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.bad_requests = Counter(
            "model_injector_bad_requests", "Bodies that are no AdmissionReview.", ["status"], registry=self._registry
        )
        self.errors = Counter(
            "model_injector_errors", "Requests that met a fault of ours, answered with 500.", registry=self._registry
        )
        self.previews = Counter(
            "model_injector_previews", "Previews answered, by HTTP status.", ["status"], registry=self._registry
        )
        self.certificate_expiry = Gauge(
            "model_injector_certificate_expiry_timestamp_seconds",
            "When it ends: the certificate served (leaf), the last one of the caBundle (ca).",
            ["certificate"],
            registry=self._registry,
        )
        self.certificate_reloads = Counter(
            "model_injector_certificate_reloads", "Certificates taken into use.", registry=self._registry
        )
        self.certificate_errors = Counter(
            "model_injector_certificate_errors",
            "Looks at the certificate or the cluster that failed; the old one stays.",
            registry=self._registry,
        )

        self.catalog_errors = Counter(
            "model_injector_catalog_errors",
            "Requests to S3 that failed, by their kind.",
            ["source", "kind"],
            registry=self._registry,
        )
        self.catalog_lookups = Counter(
            "model_injector_catalog_lookups",
            "Versions looked at, by what was found.",
            ["state"],
            registry=self._registry,
        )
        self._catalog = {
            name: Gauge(f"model_injector_catalog_{name}", text, ["source"], registry=self._registry)
            for name, text in {
                "age_seconds": "Since the source was last listed; infinite where it never was.",
                "models": "Models that the source has.",
                "versions": "Versions that the source has.",
            }.items()
        }

    def watch_catalog(self, source: str, status: Callable[[], SourceFigures]) -> None:
        """Show what is known of a source, as it is when someone reads."""

        def age() -> float:
            seconds = status().age
            return math.inf if seconds is None else seconds

        self._catalog["age_seconds"].labels(source).set_function(age)
        self._catalog["models"].labels(source).set_function(lambda: status().models)
        self._catalog["versions"].labels(source).set_function(lambda: status().versions)

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)
