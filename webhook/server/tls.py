"""The server's certificate: kept fresh without a handshake lost, and compared with what the API server trusts.

The SSLContext stays the same: a new certificate serves the handshakes that begin after it, and connections that exist
go on.
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
    fault,
    load_into,
    out_of_time,
    parse_bundle,
)
from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.kubernetes.client import ClusterError
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings

_EAGER_SECONDS: Final = 1
"""Between two looks while the server is not ready for its certificate's sake."""
_log = logging.getLogger(__name__)


def certificate_source(settings: Settings) -> CertificateSource:
    """Where the settings say that the certificate comes from. Raises InvalidSettings where that can't be."""
    options = settings.certificates
    cluster = None
    if options.webhook_configuration:
        try:
            cluster = ClusterObjects(options.webhook_configuration, options.namespace, options.secret)
        except ClusterError as error:
            raise InvalidSettings(f"certificates.webhookConfiguration is set: {error}") from error
    if options.mode == "auto":
        assert cluster  # noqa: S101 - a rule of the settings
        return AutoSource(
            cluster,
            options.hosts,
            ca_lifetime=timedelta(seconds=options.ca_lifetime),
            leaf_lifetime=timedelta(seconds=options.leaf_lifetime),
            overlap=timedelta(seconds=options.overlap),
        )
    cert, key = settings.server.tls_cert, settings.server.tls_key
    files = FileSource(cert, key, cluster)
    try:
        load_into(server_context(), files.read())
    except (CertificateError, OSError) as error:
        raise InvalidSettings(f"server.tlsCert {cert} and server.tlsKey {key} can't be used: {error}") from error
    return files


class CertificateReloader:
    """Keeps a server's SSLContext on what a source gives, and its health on whether the API server trusts that."""

    def __init__(self, source: CertificateSource, host: str, metrics: Metrics, health: Health) -> None:
        self.context = server_context()
        self.has_looked = False
        self.metrics, self.health = metrics, health
        self._source, self._host = source, host
        self._leaf: ServingCertificate | None = None
        self._bundles: tuple[bytes, ...] | None = None
        self._problem: str | None = None
        health.certificate = "no certificate yet"

    async def keep(self, seconds: float) -> None:
        """Look this often, for ever. What can't be used is logged, and the old certificate stays."""
        while True:
            await self._look()
            self.has_looked = True
            await asyncio.sleep(min(seconds, _EAGER_SECONDS) if self.health.certificate else seconds)

    async def _look(self) -> None:
        try:
            standing = await asyncio.to_thread(self._source.look)
            problem = standing.problem
            self._bundles = standing.bundles
            # Not in another thread: a handshake between the change of the certificate and that of its key would fail.
            if standing.leaf:
                self._use(standing.leaf)
            fault = await asyncio.to_thread(self._fault, problem)
        except OSError as error:
            problem = str(error)
            fault = await asyncio.to_thread(self._fault, problem)
        except Exception as error:  # noqa: BLE001 - whatever the cluster has answered, admission goes on
            problem, fault = f"unexpected {type(error).__name__}", self.health.certificate
            if problem != self._problem:
                _log.exception("unexpected error")
        self._tell(problem, fault)

    def _tell(self, problem: str | None, fault: str | None) -> None:
        """What is wrong, each once."""
        if problem:
            self.metrics.certificate_errors.inc()
            if problem != self._problem:
                _log.error(
                    "certificate not renewed" if self._leaf else "no certificate", extra={FIELDS: {"problem": problem}}
                )
        if fault != self.health.certificate and self._leaf:
            if fault:
                _log.error("not trusted by the API server", extra={FIELDS: {"fault": fault}})
            elif self._bundles:
                _log.info("trusted by the API server")
        self._problem, self.health.certificate = problem, fault

    def _use(self, leaf: ServingCertificate) -> None:
        if leaf == self._leaf:
            return
        load_into(self.context, leaf)
        end = x509.load_pem_x509_certificate(leaf.certificate).not_valid_after_utc
        self._leaf = leaf
        self.metrics.certificate_reloads.inc()
        self.metrics.certificate_expiry.labels("leaf").set(end.timestamp())
        _log.info("certificate loaded", extra={FIELDS: {"expires": end.isoformat()}})

    def _fault(self, problem: str | None) -> str | None:
        """Why the API server would not trust this server."""
        if self._leaf is None:
            return problem or "no certificate yet"
        now = self._source.now()
        if self._bundles is None:
            return out_of_time(self._leaf, now)
        if not self._bundles:
            return problem or "the MutatingWebhookConfiguration does not exist, or has no entries"
        ends = [
            max((each.not_valid_after_utc for each in parse_bundle(bundle)), default=None) for bundle in self._bundles
        ]
        self.metrics.certificate_expiry.labels("ca").set(min(end.timestamp() if end else 0 for end in ends))
        return next(filter(None, (fault(self._leaf, each, self._host, now) for each in self._bundles)), None)


def server_context() -> ssl.SSLContext:
    """A context for a server of ours, without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
