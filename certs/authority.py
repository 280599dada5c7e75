"""A certificate authority (CA) in memory, and the serving certificates that it signs.

Keys are ECDSA P-256: small, fast in handshakes, and accepted by every supported API server. A serving certificate names
its hosts in subjectAltName only, because Go has ignored common names since 1.15.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

UNREADABLE: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
)
"""What `cryptography` raises for an invalid certificate or key, some of it only when a field is read."""
_BACKDATED: Final = timedelta(minutes=5)  # tolerates clients whose clocks are slow


def renewal_time(certificate: x509.Certificate) -> datetime:
    """When a certificate that this module issued is to be renewed: after two thirds of its lifetime."""
    issued, end = certificate.not_valid_before_utc + _BACKDATED, certificate.not_valid_after_utc
    return issued + (end - issued) * 2 / 3


@dataclass(frozen=True)
class ServingCertificate:
    """A server's certificate chain and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Authority:
    """A certificate authority. `certificate` (PEM) belongs into the caBundle of a webhook configuration."""

    certificate: bytes
    key: bytes = field(repr=False)

    @classmethod
    def create(cls, lifetime: timedelta = timedelta(days=365), now: datetime | None = None) -> Self:
        """A new self-signed authority, valid from `now` (timezone-aware; default: the current time)."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "model-injector CA")])
        now = now or datetime.now(UTC)
        certificate = (
            _builder(name, name, key.public_key(), now, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Self:
        """Parse an authority (PEM). Raises ValueError if it is not a self-signed CA with its own EC key.

        The message never contains the key.
        """
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            parsed.verify_directly_issued_by(parsed)
            signs = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            private = serialization.load_pem_private_key(key, password=None)
            fits = isinstance(private, ec.EllipticCurvePrivateKey) and private.public_key() == parsed.public_key()
        except UNREADABLE:
            raise ValueError("the certificate or the key of the authority is invalid") from None
        if not (signs and fits):
            raise ValueError("the certificate is not an authority's, or the key does not belong to it")
        return cls(certificate, key)

    @property
    def parsed(self) -> x509.Certificate:
        """`certificate` as an object."""
        return x509.load_pem_x509_certificate(self.certificate)

    def issue(
        self, hosts: Sequence[str], lifetime: timedelta = timedelta(days=90), now: datetime | None = None
    ) -> ServingCertificate:
        """A serving certificate for `hosts` (DNS names or IP addresses). It expires no later than the authority."""
        issuer = self.parsed
        authority_key = serialization.load_pem_private_key(self.key, password=None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - `load` has checked it
        key = ec.generate_private_key(ec.SECP256R1())
        now = now or datetime.now(UTC)
        end = min(now + lifetime, issuer.not_valid_after_utc)
        certificate = (
            _builder(x509.Name([]), issuer.subject, key.public_key(), now, end)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False)
            .sign(authority_key, hashes.SHA256())
        )
        return ServingCertificate(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
