"""What /metrics shows, in Prometheus' text format."""

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from webhook import __version__

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        build = Gauge("model_injector_build_info", "What runs here.", ["version", "python"], registry=self._registry)
        build.labels(__version__, platform.python_version()).set(1)
        self.decisions = Counter(
            "model_injector_decisions", "Pods decided on.", ["decision", "reason"], registry=self._registry
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

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)
