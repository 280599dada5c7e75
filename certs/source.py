"""Where the webhook's certificate comes from: files that someone else renews, or authorities that replicas share.

Both block while they look, and are used by one thread at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

from cryptography import x509

from certs.authority import Authority, Leaf, renewal_time
from certs.cluster import Cluster, Read
from certs.errors import CertificateError, Conflict, NotFound
from certs.rotation import Authorities, successor
from certs.trust import is_valid, parse_bundle

_TRIES: Final = 5
"""How often a pass begins anew when other replicas were faster."""


@dataclass(frozen=True)
class Standing:
    """What a look has found: what to serve with, and what the entries of the webhook configuration have as caBundle.

    No bundles at all: nobody asked for them to be compared.
    """

    leaf: Leaf
    bundles: tuple[bytes, ...] | None


class Source(Protocol):
    """Where the certificate comes from."""

    def look(self) -> Standing:
        """One pass. Raises CertificateError; then everything stays as the last pass left it."""

    def now(self) -> datetime:
        """The time by the clock that counts."""


class Files:
    """A certificate chain and its key (PEM), as a mounted Secret has them; `cluster` where bundles are to be compared.

    The files are read again at each look, for a mounted Secret gives no reliable file events.
    """

    def __init__(self, certificate: Path, key: Path, cluster: Cluster | None = None) -> None:
        self._certificate, self._key, self._cluster = certificate, key, cluster

    def look(self) -> Standing:
        """Read the files, and the bundles."""
        return Standing(self.read(), tuple(_bundles(self._cluster).content.values()) if self._cluster else None)

    def read(self) -> Leaf:
        """The files alone. Raises CertificateError where they can't be read, or hold no certificate."""
        try:
            leaf = Leaf(self._certificate.read_bytes(), self._key.read_bytes())
            x509.load_pem_x509_certificate(leaf.certificate)
        except (OSError, ValueError) as error:
            raise CertificateError(str(error)) from error
        return leaf

    def now(self) -> datetime:
        """The cluster's time, or this machine's."""
        return self._cluster.now() if self._cluster else datetime.now(UTC)


class Auto:
    """A leaf of this replica's own, from authorities in a Secret that all replicas keep: see rotation.py.

    Each look reads, brings the Secret and the caBundles to what they should be, and only then issues a leaf, so that
    nothing is ever signed that API servers could not know.
    """

    def __init__(
        self,
        cluster: Cluster,
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
        self._issued: tuple[Leaf, Authority] | None = None

    def now(self) -> datetime:
        """The API server's time."""
        return self._cluster.now()

    def look(self) -> Standing:
        """Keep the Secret and the caBundles, and renew the leaf where it is time."""
        for _ in range(_TRIES):
            try:
                authorities, bundles = self._keep()
            except Conflict:
                continue
            return Standing(self._leaf(authorities.signing), bundles)
        raise CertificateError("the Secret or the caBundles were changed by others, again and again")

    def _keep(self) -> tuple[Authorities, tuple[bytes, ...]]:
        # In this order: others write the Secret first, so what the entries have is never newer than our Secret.
        entries = _bundles(self._cluster)
        secret = self._secret()
        published = [parse_bundle(bundle) for bundle in entries.content.values()]
        held = Authorities.parse(secret.content)
        wanted = successor(
            held,
            tuple(certificate for bundle in published for certificate in bundle),
            self.now(),
            is_settled=self._is_settled(held.upcoming, published),
            create=lambda: Authority.create(self._ca_lifetime, self.now()),
        )
        if wanted != held:
            self._cluster.write_secret(secret, wanted.data())
        bundles = tuple(entries.content.values())
        if any(bundle != wanted.trusted for bundle in published):
            self._cluster.write_bundles(entries, wanted.bundle)
            bundles = (wanted.bundle,) * len(bundles)
        return wanted, bundles

    def _secret(self) -> Read:
        try:
            return self._cluster.read_secret()
        except NotFound:
            self._cluster.create_secret()
            return self._cluster.read_secret()

    def _is_settled(self, upcoming: Authority | None, published: Sequence[Sequence[x509.Certificate]]) -> bool:
        if upcoming is None or any(upcoming.parsed not in bundle for bundle in published):
            self._seen = None
            return False
        if self._seen is None or self._seen[0] != upcoming:
            self._seen = (upcoming, monotonic())
        return monotonic() - self._seen[1] >= self._overlap.total_seconds()

    def _leaf(self, signing: Authority | None) -> Leaf:
        now = self.now()
        if self._issued:
            leaf, issuer = self._issued
            certificate = x509.load_pem_x509_certificate(leaf.certificate)
            is_fresh = is_valid(certificate, now) and now < renewal_time(certificate)
            if signing is None or (issuer == signing and is_fresh):
                return leaf
        if signing is None:
            raise CertificateError("the new authority may not sign yet: API servers have to see it first")
        self._issued = (signing.issue(self._hosts, self._leaf_lifetime, now), signing)
        return self._issued[0]


def _bundles(cluster: Cluster) -> Read:
    try:
        return cluster.read_bundles()
    except NotFound:
        return Read({}, "")
