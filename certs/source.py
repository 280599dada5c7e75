"""Where the webhook's certificate comes from: files that someone else renews, or authorities that replicas share.

Both block while they look, and are used by one thread at a time.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
_TRIES: Final = 5
"""How often a pass begins anew when other replicas were faster."""


@dataclass(frozen=True)
class CertificateState:
    """What is known after a look: what to serve with, and what the entries of the configuration have as caBundle.

    Each is the newest that could be had, and `problem` tells what could not. No bundles at all: nobody compares.
    """

    leaf: ServingCertificate | None
    bundles: tuple[bytes, ...] | None
    problem: str | None


class CertificateSource(Protocol):
    """Where the certificate comes from."""

    def look(self) -> CertificateState:
        """One pass."""

    def now(self) -> datetime:
        """The time by the clock that counts."""


class FileSource:
    """A certificate chain and its key (PEM), as a mounted Secret has them; `cluster` where bundles are to be compared.

    The files are read again at each look, for a mounted Secret gives no reliable file events.
    """

    def __init__(self, certificate: Path, key: Path, cluster: ClusterObjects | None = None) -> None:
        self._certificate, self._key, self._cluster = certificate, key, cluster
        self._leaf: ServingCertificate | None = None
        self._bundles: tuple[bytes, ...] | None = () if cluster else None

    def look(self) -> CertificateState:
        """Read the files, and the bundles."""
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
        """The files alone. Raises CertificateError where they can't be read, or hold no certificate."""
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
    """A leaf of this replica's own, from authorities in a Secret that all replicas keep: see rotation.py.

    Each look reads, brings the Secret and the caBundles to what they should be, and only then issues a leaf, so that
    nothing is ever signed that API servers could not know.
    """

    def __init__(
        self,
        cluster: ClusterObjects,
        hosts: Sequence[str],
        *,
        ca_lifetime: timedelta,
        leaf_lifetime: timedelta,
        overlap: timedelta,
    ) -> None:
        self._cluster, self._hosts = cluster, hosts
        self._ca_lifetime, self._leaf_lifetime, self._overlap = ca_lifetime, leaf_lifetime, overlap
        self._seen: tuple[Authority, float] | None = None
        """The upcoming authority that all entries have had since this (monotonic) time."""
        self._leaf: ServingCertificate | None = None
        self._issuer: Authority | None = None
        self._bundles: tuple[bytes, ...] = ()

    def now(self) -> datetime:
        """The API server's time."""
        return self._cluster.now()

    def look(self) -> CertificateState:
        """Keep the Secret and the caBundles, and renew the leaf where it is time."""
        problem: str | None = "the Secret or the caBundles were changed by others, again and again"
        for _ in range(_TRIES):
            try:
                problem = self._renew(self._keep().signing)
                break
            except ObjectChanged:
                continue
            except ClusterError as error:
                problem = str(error)
                break
        return CertificateState(self._leaf, self._bundles, problem)

    def _keep(self) -> Authorities:
        # In this order: others write the Secret first, so what the entries have is never newer than our Secret.
        entries = _bundles(self._cluster)
        self._bundles = tuple(entries.content.values())
        secret = self._secret()
        published = [parse_bundle(bundle) for bundle in self._bundles]
        held = Authorities.parse(secret.content)
        wanted = successor(
            held,
            tuple(certificate for bundle in published for certificate in bundle),
            self.now(),
            is_settled=self._is_settled(held.upcoming, published),
            create=lambda: Authority.create(self._ca_lifetime, self.now()),
            issuer=self._issuer.parsed if self._issuer else None,
        )
        if wanted != held:
            self._cluster.write_secret(secret, wanted.data())
            _log.info("authorities changed", extra={"fields": wanted.summary()})
        if any(bundle != wanted.trusted for bundle in published):
            self._cluster.write_bundles(entries, wanted.bundle)
            self._bundles = (wanted.bundle,) * len(published)
            _log.info("caBundle written", extra={"fields": wanted.summary()})
        return wanted

    def _secret(self) -> Snapshot:
        try:
            return self._cluster.read_secret()
        except ObjectNotFound:
            self._cluster.create_secret()
            return self._cluster.read_secret()

    def _is_settled(self, upcoming: Authority | None, published: Sequence[Sequence[x509.Certificate]]) -> bool:
        if upcoming is None or any(upcoming.parsed not in bundle for bundle in published):
            self._seen = None
            return False
        if self._seen is None or self._seen[0] != upcoming:
            self._seen = (upcoming, monotonic())
        return monotonic() - self._seen[1] >= self._overlap.total_seconds()

    def _renew(self, signing: Authority | None) -> str | None:
        """A new leaf, where it is time for one; gives why there is none at all."""
        if signing is None:
            return None if self._leaf else "a new authority may not sign yet: API servers have to see it first"
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
