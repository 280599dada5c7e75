"""Whether a client would take a leaf: the answer is checked against real handshakes in test_authority.py."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import Authority, ServingCertificate, parse_bundle, verification_error
from certs.trust import in_memory

HOST = "model-injector.model-injector.svc"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def test_a_leaf_of_any_authority_in_the_bundle_is_taken() -> None:
    old, new = Authority.create(), Authority.create()
    bundle = old.certificate + new.certificate
    assert verification_error(old.issue([HOST]), bundle, HOST, NOW) is None
    assert verification_error(new.issue([HOST]), bundle, HOST, NOW) is None


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        (b"", "has no valid certificate"),
        (b"nonsense", "has no valid certificate"),
        (Authority.create().certificate, f"does not verify the certificate for {HOST}"),
        (Authority.create(now=NOW - 400 * DAY).certificate, "has no valid certificate"),
    ],
)
def test_a_bundle_without_the_leafs_authority_is_a_fault(bundle: bytes, message: str) -> None:
    assert message in str(verification_error(Authority.create().issue([HOST]), bundle, HOST, NOW))


def test_another_host_is_a_fault() -> None:
    authority = Authority.create()
    assert "Hostname mismatch" in str(
        verification_error(authority.issue([HOST]), authority.certificate, "elsewhere.svc", NOW)
    )


@pytest.mark.parametrize(("days", "message"), [(8, "expired at"), (-1, "valid only from"), (6, None)])
def test_the_time_that_counts_is_the_one_given(days: int, message: str | None) -> None:
    authority = Authority.create()
    found = verification_error(authority.issue([HOST], 7 * DAY), authority.certificate, HOST, NOW + days * DAY)
    assert message in found if message and found else found is message


@pytest.mark.parametrize("ahead", [-4000, 4000])
def test_a_machine_whose_clock_is_wrong_can_still_tell(ahead: int) -> None:
    time = NOW + ahead * DAY
    authority = Authority.create(now=time)
    assert verification_error(authority.issue([HOST], now=time), authority.certificate, HOST, time) is None


def self_issued(common_name: str, key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    """A certificate whose issuer is its subject, not signed yet."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)])
def test_a_certificate_that_signs_itself_is_taken_where_it_is_the_bundle(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
) -> None:
    certificate = (
        self_issued("provided", key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None)
    )
    pem = certificate.public_bytes(Encoding.PEM)
    leaf = ServingCertificate(pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert verification_error(leaf, pem, HOST, NOW) is None


def test_a_key_of_another_certificate_is_a_fault() -> None:
    authority = Authority.create()
    mixed = ServingCertificate(authority.issue([HOST]).certificate, authority.issue([HOST]).key)
    assert "TLS handshake" in str(verification_error(mixed, authority.certificate, HOST, NOW))


def test_a_bundle_is_its_certificates_each_once_whatever_stands_between() -> None:
    one, other = Authority.create(), Authority.create()
    bundle = (
        b"# ours\n" + one.certificate + b"\n\n" + other.certificate.replace(b"\n", b"\r\n") + one.certificate + b"end"
    )
    assert parse_bundle(bundle) == (one.parsed, other.parsed)


def test_a_key_is_only_ever_in_memory_and_its_owners() -> None:
    leaf = Authority.create().issue([HOST])
    with in_memory(leaf) as path:
        found = Path(path).stat()
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert found.st_nlink == 0
        assert "memfd:" in str(Path(path).readlink())
        assert leaf.key in Path(path).read_bytes()
    assert not Path(path).exists()


def test_a_certificate_with_a_critical_extension_that_nobody_knows_is_left_out_of_a_bundle() -> None:
    """As a byte that has changed may make it: clients take nothing that is signed by such a one."""
    key = ed25519.Ed25519PrivateKey.generate()
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.0"), b"\x05\x00")
    builder = self_issued("odd", key)
    kept, odd = (
        builder.add_extension(unknown, critical).sign(key, None).public_bytes(Encoding.PEM)
        for critical in (False, True)
    )
    assert [each.serial_number for each in parse_bundle(kept)] == [1]
    assert parse_bundle(odd) == ()
