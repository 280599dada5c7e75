"""The rotation of authorities as a pure function: from what the Secret holds to what it should hold next.

There is no leader. Each replica reads the Secret, computes the next state, and writes it with the resourceVersion that
it read; a replica whose write conflicts starts again. Three rules keep replicas trusted:

- A new authority is first `upcoming`: it is in the caBundle, and does not sign until every API server has had time to
  read that. At the first start nothing is trusted yet, so a new authority signs immediately.
- If the signing authority is lost, replicas that still serve a certificate of it record that in the Secret at each
  refresh. While they do, a new authority waits as usual. Otherwise nobody is trusted, and waiting would only prolong
  that.
- An authority leaves the caBundle when it expires, not when it is replaced.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from cryptography import x509

from certs.authority import Authority, renewal_time
from certs.trust import is_valid, parse_bundle, to_bundle

_MOST_TRUSTED: Final = 6
"""The maximum number of certificates in the caBundle. Each deletion of the Secret adds one."""
_LONGEST_TIME: Final = 40


@dataclass(frozen=True)
class Authorities:
    """The content of the Secret. `trusted` is the caBundle; it includes the certificates of the two authorities."""

    signing: Authority | None = None
    upcoming: Authority | None = None
    trusted: tuple[x509.Certificate, ...] = ()
    served_at: bytes = b""
    """When a replica last served a certificate of an authority that is lost. Empty while an authority signs."""

    @classmethod
    def parse(cls, data: Mapping[str, bytes]) -> Self:
        """Read a Secret's data. Invalid values count as missing."""
        return cls(
            _authority(data, "tls.crt", "tls.key"),
            _authority(data, "upcoming.crt", "upcoming.key"),
            parse_bundle(data.get("ca.crt", b"")),
            data.get("served-at", b"")[:_LONGEST_TIME],
        )

    def data(self) -> dict[str, bytes]:
        """The Secret's data: `ca.crt`, `tls.crt`, `tls.key`, `upcoming.crt`, `upcoming.key`, `served-at`."""
        data = {"ca.crt": self.bundle}
        if self.signing:
            data |= {"tls.crt": self.signing.certificate, "tls.key": self.signing.key}
        if self.upcoming:
            data |= {"upcoming.crt": self.upcoming.certificate, "upcoming.key": self.upcoming.key}
        if self.served_at:
            data["served-at"] = self.served_at
        return data

    def summary(self) -> dict[str, str | int | None]:
        """Log fields: the serial numbers, and the number of trusted certificates."""
        authorities = (self.signing, self.upcoming)
        serials = (f"{authority.parsed.serial_number:x}" if authority else None for authority in authorities)
        return dict(zip(("signing", "upcoming"), serials, strict=True)) | {"trusted": len(self.trusted)}

    @property
    def bundle(self) -> bytes:
        """The caBundle (PEM) that every webhook of the configuration should have."""
        return to_bundle(self.trusted)


def successor(  # noqa: PLR0913 - a pure function takes all of its inputs
    held: Authorities,
    published: tuple[x509.Certificate, ...],
    now: datetime,
    *,
    is_settled: bool,
    create: Callable[[], Authority],
    issuer: x509.Certificate | None = None,
) -> Authorities:
    """What the Secret should hold. Equal to `held` when nothing has to change.

    `published` holds the certificates of the current caBundles. `is_settled` says that the upcoming authority has been
    in all caBundles for long enough. `create` makes a new authority. `issuer` signed the certificate that this replica
    serves; it is the last certificate to be dropped when there are too many.
    """
    signing = held.signing if held.signing and is_valid(held.signing.parsed, now) else None
    upcoming = held.upcoming if held.upcoming and is_valid(held.upcoming.parsed, now) else None
    if upcoming is None and (signing is None or now >= renewal_time(signing.parsed)):
        upcoming = create()
    starts_anew = signing is None and not any(is_valid(certificate, now) for certificate in published)
    if upcoming and (starts_anew or (is_settled and upcoming == held.upcoming)):
        signing, upcoming = upcoming, None
    current = [authority.parsed for authority in (signing, upcoming) if authority]
    if starts_anew:  # old certificates are dropped: an operator may have removed them from the caBundles on purpose
        return Authorities(signing, upcoming, tuple(current))
    # A new or invalid Secret does not say which authorities signed the certificates in use; the caBundles do.
    is_whole = held.signing is not None and held.signing.parsed in held.trusted
    others = [
        certificate
        for certificate in dict.fromkeys((*held.trusted, *(() if is_whole else published)))
        if certificate not in current and now < certificate.not_valid_after_utc
    ]
    others.sort(key=lambda certificate: certificate == issuer)  # stable: the oldest first, the issuer last
    kept = others[-(_MOST_TRUSTED - len(current)) :]
    served_at = held.served_at if signing is None else b""
    if signing is None and issuer in published:
        served_at = now.isoformat().encode()
    return Authorities(signing, upcoming, (*kept, *current), served_at)


def _authority(data: Mapping[str, bytes], certificate: str, key: str) -> Authority | None:
    try:
        return Authority.load(data[certificate], data[key])
    except (KeyError, ValueError):
        return None
