"""caBundles, and whether a client that trusts one accepts a serving certificate."""

import contextlib
import os
import re
import ssl
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import UnrecognizedExtension

from certs.authority import UNREADABLE, ServingCertificate

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", re.ASCII)
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: validity is checked by the cluster's clock, not by this machine's."""


def parse_bundle(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle (PEM), without duplicates and without those that clients reject."""
    certificates: dict[x509.Certificate, None] = {}
    reader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for block in _BLOCK.findall(pem):
        with contextlib.suppress(*UNREADABLE, ssl.SSLError):
            certificate = x509.load_pem_x509_certificate(block)
            _ = certificate.public_key()  # the key and the extensions are parsed on access
            if any(
                extension.critical and isinstance(extension.value, UnrecognizedExtension)
                for extension in certificate.extensions
            ):
                continue
            reader.load_verify_locations(cadata=block.decode())
            certificates[certificate] = None
    return tuple(certificates)


def to_bundle(certificates: Iterable[x509.Certificate]) -> bytes:
    """A bundle (PEM)."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether `now` is in the certificate's validity period."""
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def load_into(context: ssl.SSLContext, leaf: ServingCertificate) -> None:
    """Make a server's context use a certificate and its key.

    Raises ssl.SSLError or OSError if they cannot be used; the context then keeps the previous ones.
    """
    with in_memory(leaf) as path:
        # A failed load can leave a context with the new certificate and the old key, so try a throw-away context first.
        for target in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
            target.load_cert_chain(path, password=str)  # an empty password: OpenSSL never prompts for one


@contextlib.contextmanager
def in_memory(leaf: ServingCertificate) -> Iterator[str]:
    """The path of a file in memory (mode 0600) with the certificate and the key, because `ssl` reads only files."""
    descriptor = os.memfd_create("model-injector-leaf")
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(leaf.certificate + b"\n" + leaf.key)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def validity_error(leaf: ServingCertificate, now: datetime) -> str | None:
    """Why `now` is outside the certificate's validity period; None if it is inside."""
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    if now < certificate.not_valid_before_utc:
        return f"the certificate is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%SZ}"
    if now >= certificate.not_valid_after_utc:
        return f"the certificate expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%SZ}"
    return None


def verification_error(leaf: ServingCertificate, bundle: bytes, host: str, now: datetime) -> str | None:
    """Why a client that trusts `bundle` (PEM) and connects to `host` rejects the certificate; None if it accepts it.

    The check is a real TLS handshake in memory.
    """
    if problem := validity_error(leaf, now):
        return problem
    trusted = [certificate for certificate in parse_bundle(bundle) if is_valid(certificate, now)]
    if not trusted:
        return "the caBundle has no valid certificate"
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= _NO_CHECK_TIME | ssl.VERIFY_X509_PARTIAL_CHAIN
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        client.load_verify_locations(cadata=to_bundle(trusted).decode())
        load_into(server, leaf)
        _shake_hands(client, server, host)
    except ssl.SSLCertVerificationError as error:
        return f"the caBundle does not verify the certificate for {host}: {error.verify_message}"
    except (OSError, ValueError) as error:
        return f"the TLS handshake with the certificate for {host} fails: {error}"
    return None


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):  # a handshake has at most four flights
        waiting = []
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(end)
        ends = waiting
    if ends:
        raise ssl.SSLError("the handshake did not finish")
