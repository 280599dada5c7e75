"""Where the serving certificate comes from: mounted files (FileSource), or shared authorities in a Secret (AutoSource).

`refresh` blocks on I/O. A source is not thread-safe.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

from cryptography import x509

from certs.authority import UNREADABLE, Authority, ServingCertificate, renewal_time
from certs.cluster import ClusterObjects, Snapshot
from certs.errors import CertificateError, ObjectChanged, ObjectNotFound
from certs.rotation import Authorities, successor
from certs.trust import is_valid, parse_bundle
from webhook.kubernetes.client import ClusterError

_log = logging.getLogger(__name__)
_GRACE: Final = timedelta(seconds=2)
"""How much longer than between two refreshes the other replicas may take to report that they serve."""
_ATTEMPTS: Final = 5
"""How often one refresh starts again after another replica changed the objects."""


@dataclass(frozen=True)
class CertificateState:
    """The result of a refresh. After a failure, `leaf` and `bundles` are those of the previous one."""

    leaf: ServingCertificate | None
    bundles: tuple[bytes, ...] | None
    """The caBundle (PEM) of each webhook of the configuration. None when bundles are not compared with the leaf."""
    problem: str | None
    """Why the refresh failed."""


class CertificateSource(Protocol):
    """Where the serving certificate comes from."""

    def refresh(self) -> CertificateState:
        """Read the certificate and the caBundles, and renew what is due."""

    def now(self) -> datetime:
        """The time by which certificates are valid: the API server's where it is known."""


class FileSource:
    """A certificate chain and its key (PEM) in files, such as a mounted Secret. With `cluster`, caBundles are read too.

    The files are read again at each refresh, because a mounted Secret gives no reliable file events.
    """

    def __init__(self, certificate: Path, key: Path, cluster: ClusterObjects | None = None) -> None:
        self._certificate, self._key, self._cluster = certificate, key, cluster
        self._leaf: ServingCertificate | None = None
        self._bundles: tuple[bytes, ...] | None = () if cluster else None

    def refresh(self) -> CertificateState:
        """Read the files and the caBundles."""
        problems = []
        try:
            self._leaf = self.read()
        except CertificateError as error:
            problems.append(str(error))
        try:
            if self._cluster:
                self._bundles = tuple(_bundles(self._cluster).content.values())
        except ClusterError as error:
            problems.append(str(error))
        return CertificateState(self._leaf, self._bundles, "; ".join(problems) or None)

    def read(self) -> ServingCertificate:
        """Read the files. Raises CertificateError if they cannot be read or hold no certificate."""
        try:
            leaf = ServingCertificate(self._certificate.read_bytes(), self._key.read_bytes())
            x509.load_pem_x509_certificate(leaf.certificate)
        except (OSError, *UNREADABLE) as error:
            raise CertificateError(str(error)) from error
        return leaf

    def now(self) -> datetime:
        """The cluster's time, or this machine's."""
        return self._cluster.now() if self._cluster else datetime.now(UTC)


class AutoSource:
    """A serving certificate for this replica, signed by an authority in a Secret that all replicas share: rotation.py.

    A refresh first updates the Secret and the caBundles and then issues the certificate, so that API servers always
    trust its issuer.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments, each a duration
        self,
        cluster: ClusterObjects,
        hosts: Sequence[str],
        *,
        ca_lifetime: timedelta,
        leaf_lifetime: timedelta,
        overlap: timedelta,
        interval: timedelta,
    ) -> None:
        """`interval`: how often each replica refreshes."""
        self._cluster, self._hosts = cluster, hosts
        self._ca_lifetime, self._leaf_lifetime = ca_lifetime, leaf_lifetime
        self._overlap, self._orphaned = overlap, min(interval + _GRACE, overlap)
        """How long a new authority waits before it signs: in a rotation, and if no replica is trusted."""
        self._published: tuple[Authority, float] | None = None
        """The upcoming authority, and since when (monotonic seconds) it has been in all caBundles."""
        self._served: tuple[bytes, float] = b"", 0
        """The last `served_at`, and when (monotonic seconds) it was first read."""
        self._leaf: ServingCertificate | None = None
        self._issuer: Authority | None = None
        self._bundles: tuple[bytes, ...] = ()

    def now(self) -> datetime:
        """The API server's time."""
        return self._cluster.now()

    def refresh(self) -> CertificateState:
        """Update the Secret and the caBundles, and renew the serving certificate if it is due."""
        problem: str | None = f"the Secret or the caBundles changed during each of {_ATTEMPTS} attempts to update them"
        for _ in range(_ATTEMPTS):
            try:
                problem = self._renew(self._update_cluster().signing)
                break
            except ObjectChanged:
                continue
            except ClusterError as error:
                problem = str(error)
                break
        return CertificateState(self._leaf, self._bundles, problem)

    def _update_cluster(self) -> Authorities:
        # Replicas write the Secret before the caBundles. Read in reverse, so that the caBundles are never newer.
        configuration = _bundles(self._cluster)
        self._bundles = tuple(configuration.content.values())
        secret = self._secret()
        published = [parse_bundle(bundle) for bundle in self._bundles]
        held = Authorities.parse(secret.content)
        wanted = successor(
            held,
            tuple(certificate for bundle in published for certificate in bundle),
            self.now(),
            is_settled=self._is_settled(held, published),
            create=lambda: Authority.create(self._ca_lifetime, self.now()),
            issuer=self._issuer.parsed if self._issuer else None,
        )
        if wanted != held:
            self._cluster.write_secret(secret, wanted.data())
        if replace(wanted, served_at=held.served_at) != held:
            _log.info("authorities changed", extra={"fields": wanted.summary()})
        if any(bundle != wanted.trusted for bundle in published):
            self._cluster.write_bundles(configuration, wanted.bundle)
            self._bundles = (wanted.bundle,) * len(published)
            _log.info("caBundle written", extra={"fields": wanted.summary()})
        return wanted

    def _secret(self) -> Snapshot:
        try:
            return self._cluster.read_secret()
        except ObjectNotFound:
            self._cluster.create_secret()
            return self._cluster.read_secret()

    def _is_settled(self, held: Authorities, published: Sequence[Sequence[x509.Certificate]]) -> bool:
        upcoming, now = held.upcoming, monotonic()
        if upcoming is None or any(upcoming.parsed not in bundle for bundle in published):
            self._published = None
            return False
        if self._published is None or self._published[0] != upcoming:
            self._published = upcoming, now
        if self._served[0] != held.served_at:
            self._served = held.served_at, now
        since = self._published[1]
        if now - since >= self._overlap.total_seconds():
            return True
        return held.signing is None and now - max(since, self._served[1]) >= self._orphaned.total_seconds()

    def _renew(self, signing: Authority | None) -> str | None:
        """Issue a certificate if one is due. Returns why there is no certificate at all."""
        if signing is None:
            return None if self._leaf else "the new authority does not sign yet: API servers have to read it first"
        now = self.now()
        if self._leaf and self._issuer == signing:
            certificate = x509.load_pem_x509_certificate(self._leaf.certificate)
            if is_valid(certificate, now) and now < renewal_time(certificate):
                return None
        self._leaf, self._issuer = signing.issue(self._hosts, self._leaf_lifetime, now), signing
        return None


def _bundles(cluster: ClusterObjects) -> Snapshot:
    try:
        return cluster.read_bundles()
    except ObjectNotFound:
        return Snapshot({}, "")
