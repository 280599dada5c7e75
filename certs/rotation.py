"""What the Secret holds, and what it should hold next: all of the rotation, without a clock and without a cluster.

There is no leader. Each replica reads the Secret, works out its successor, and writes that with the resourceVersion
that it has read; who comes second reads again. Two rules keep every replica trusted at each moment:

- What stands as the signing authority may sign at once. A new one stands as the upcoming one first, in the bundle
  beside the old, until the API servers have had the time to see it there. Only where nobody trusts anything yet, at the
  first start, does a new one sign at once.
- An authority leaves the bundle when it expires, not when it is replaced.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from cryptography import x509

from certs.authority import Authority, renewal_time
from certs.trust import is_valid, parse_bundle, to_bundle

_MOST_TRUSTED: Final = 6
"""Certificates in the bundle at most, however often someone deletes the Secret."""


@dataclass(frozen=True)
class Authorities:
    """What the Secret holds. `trusted` is the caBundle of every entry, the two others among it."""

    signing: Authority | None = None
    upcoming: Authority | None = None
    trusted: tuple[x509.Certificate, ...] = ()

    @classmethod
    def parse(cls, data: Mapping[str, bytes]) -> Self:
        """From a Secret's data; what is spoiled counts as missing."""
        return cls(
            _authority(data, "tls.crt", "tls.key"),
            _authority(data, "upcoming.crt", "upcoming.key"),
            parse_bundle(data.get("ca.crt", b"")),
        )

    def data(self) -> dict[str, bytes]:
        """As a Secret's data."""
        data = {"ca.crt": self.bundle}
        if self.signing:
            data |= {"tls.crt": self.signing.certificate, "tls.key": self.signing.key}
        if self.upcoming:
            data |= {"upcoming.crt": self.upcoming.certificate, "upcoming.key": self.upcoming.key}
        return data

    def summary(self) -> dict[str, str | int | None]:
        """For a log: serial numbers, and how many certificates are trusted."""
        serials = (f"{each.parsed.serial_number:x}" if each else None for each in (self.signing, self.upcoming))
        return dict(zip(("signing", "upcoming"), serials, strict=True)) | {"trusted": len(self.trusted)}

    @property
    def bundle(self) -> bytes:
        """What every entry should have as its caBundle (PEM)."""
        return to_bundle(self.trusted)


def successor(  # noqa: PLR0913 - pure, so it has to be told everything
    held: Authorities,
    published: tuple[x509.Certificate, ...],
    now: datetime,
    *,
    is_settled: bool,
    create: Callable[[], Authority],
    issuer: x509.Certificate | None = None,
) -> Authorities:
    """What the Secret should hold, equal to `held` where that is right already.

    `published` is what the entries have as caBundles now; `is_settled` tells that the upcoming authority has been in
    all of them for long enough. `create` makes an authority. `issuer` is whose certificate this replica serves with: it
    is the last one to go where there are too many.
    """
    signing = held.signing if held.signing and is_valid(held.signing.parsed, now) else None
    upcoming = held.upcoming if held.upcoming and is_valid(held.upcoming.parsed, now) else None
    if upcoming is None and (signing is None or now >= renewal_time(signing.parsed)):
        upcoming = create()
    starts_anew = signing is None and not any(is_valid(certificate, now) for certificate in published)
    if upcoming and (starts_anew or (is_settled and upcoming == held.upcoming)):
        signing, upcoming = upcoming, None
    ours = [authority.parsed for authority in (signing, upcoming) if authority]
    if starts_anew:  # nobody trusts the old ones any more: that may be what someone wanted
        return Authorities(signing, upcoming, tuple(ours))
    # A Secret that is new, or spoiled, does not tell from whom the replicas have their leaves: the entries do.
    is_whole = held.signing is not None and held.signing.parsed in held.trusted
    others = [
        certificate
        for certificate in dict.fromkeys((*held.trusted, *(() if is_whole else published)))
        if certificate not in ours and now < certificate.not_valid_after_utc
    ]
    others.sort(key=lambda certificate: certificate == issuer)  # stable: the oldest first, then the issuer
    kept = others[-(_MOST_TRUSTED - len(ours)) :]
    return Authorities(signing, upcoming, (*kept, *ours))


def _authority(data: Mapping[str, bytes], certificate: str, key: str) -> Authority | None:
    try:
        return Authority.load(data[certificate], data[key])
    except (KeyError, ValueError):
        return None
