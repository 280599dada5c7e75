"""Reloads the serving certificate while the server runs, and verifies it against the caBundle.

The SSLContext stays the same object: new handshakes use the new certificate, existing connections continue.
"""

import asyncio
import logging
import ssl
from datetime import timedelta
from typing import Final

from cryptography import x509

from certs import (
    AutoSource,
    CertificateError,
    CertificateSource,
    ClusterObjects,
    FileSource,
    ServingCertificate,
    load_into,
    parse_bundle,
    validity_error,
    verification_error,
)
from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.kubernetes.client import ClusterError
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings

_NOT_READY_SECONDS: Final = 1
"""The refresh interval while the certificate keeps the server from being ready."""
_log = logging.getLogger(__name__)


def certificate_source(settings: Settings) -> CertificateSource:
    """The certificate source of the settings. Raises InvalidSettings if it cannot be used."""
    options = settings.certificates
    cluster = None
    if options.webhook_configuration:
        try:
            cluster = ClusterObjects(options.webhook_configuration, options.namespace, options.secret)
        except ClusterError as error:
            raise InvalidSettings(f"setting certificates.webhookConfiguration needs a cluster: {error}") from error
    if options.mode == "auto":
        assert cluster  # noqa: S101 - CertificateSettings has checked it
        return AutoSource(
            cluster,
            options.hosts,
            ca_lifetime=timedelta(seconds=options.ca_lifetime),
            leaf_lifetime=timedelta(seconds=options.leaf_lifetime),
            overlap=timedelta(seconds=options.overlap),
            interval=timedelta(seconds=settings.server.tls_poll),
        )
    cert, key = settings.server.tls_cert, settings.server.tls_key
    files = FileSource(cert, key, cluster)
    try:
        load_into(server_context(), files.read())
    except (CertificateError, OSError) as error:
        raise InvalidSettings(f"server.tlsCert {cert} and server.tlsKey {key} cannot be used: {error}") from error
    return files


class CertificateReloader:
    """Loads a source's certificate into an SSLContext, and reports to health whether the API server trusts it."""

    def __init__(self, source: CertificateSource, host: str, metrics: Metrics, health: Health) -> None:
        self.context = server_context()
        self.has_refreshed = False
        self.metrics, self.health = metrics, health
        self._source, self._host = source, host
        self._leaf: ServingCertificate | None = None
        self._bundles: tuple[bytes, ...] | None = None
        self._problem: str | None = None
        health.certificate = "no certificate yet"

    async def run(self, seconds: float) -> None:
        """Refresh every `seconds`, until cancelled. Problems are logged, and the previous certificate stays in use."""
        while True:
            await self._refresh()
            self.has_refreshed = True
            await asyncio.sleep(min(seconds, _NOT_READY_SECONDS) if self.health.certificate else seconds)

    async def _refresh(self) -> None:
        try:
            state = await asyncio.to_thread(self._source.refresh)
            problem = state.problem
            self._bundles = state.bundles
            # In the event loop's thread: a handshake between the loads of certificate and key would fail.
            if state.leaf:
                self._use(state.leaf)
            trust_error = await asyncio.to_thread(self._trust_error, problem)
        except OSError as error:
            problem = str(error)
            trust_error = await asyncio.to_thread(self._trust_error, problem)
        except Exception as error:  # noqa: BLE001 - admission continues with the previous certificate
            problem, trust_error = f"unexpected {type(error).__name__}", self.health.certificate
            if problem != self._problem:
                _log.exception("unexpected error")
        self._report(problem, trust_error)

    def _report(self, problem: str | None, trust_error: str | None) -> None:
        """Update metrics and health, and log changes only."""
        if problem:
            self.metrics.certificate_errors.inc()
            if problem != self._problem:
                _log.error(
                    "certificate not renewed" if self._leaf else "no certificate", extra={FIELDS: {"problem": problem}}
                )
        if trust_error != self.health.certificate and self._leaf:
            if trust_error:
                _log.error("not trusted by the API server", extra={FIELDS: {"fault": trust_error}})
            elif self._bundles:
                _log.info("trusted by the API server")
        self._problem, self.health.certificate = problem, trust_error

    def _use(self, leaf: ServingCertificate) -> None:
        if leaf == self._leaf:
            return
        load_into(self.context, leaf)
        end = x509.load_pem_x509_certificate(leaf.certificate).not_valid_after_utc
        self._leaf = leaf
        self.metrics.certificate_reloads.inc()
        self.metrics.certificate_expiry.labels("leaf").set(end.timestamp())
        _log.info("certificate loaded", extra={FIELDS: {"expires": end.isoformat()}})

    def _trust_error(self, problem: str | None) -> str | None:
        """Why the API server would not trust this server; None if it does."""
        if self._leaf is None:
            return problem or "no certificate yet"
        now = self._source.now()
        if self._bundles is None:
            return validity_error(self._leaf, now)
        if not self._bundles:
            return problem or "the MutatingWebhookConfiguration does not exist, or has no webhooks"
        ends = [
            max((certificate.not_valid_after_utc for certificate in parse_bundle(bundle)), default=None)
            for bundle in self._bundles
        ]
        self.metrics.certificate_expiry.labels("ca").set(min(end.timestamp() if end else 0 for end in ends))
        errors = (verification_error(self._leaf, bundle, self._host, now) for bundle in self._bundles)
        return next(filter(None, errors), None)


def server_context() -> ssl.SSLContext:
    """A context for a server that speaks TLS 1.2 or later. It has no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
