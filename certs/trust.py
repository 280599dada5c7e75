"""What a client trusts: bundles of certificates, and whether they make it take a leaf."""

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
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: the time that counts is the cluster's, not this machine's."""


def parse_bundle(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle (PEM), each once; what no client could read is left out."""
    found: dict[x509.Certificate, None] = {}
    reader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for block in _BLOCK.findall(pem):
        with contextlib.suppress(*UNREADABLE, ssl.SSLError):
            certificate = x509.load_pem_x509_certificate(block)
            _ = certificate.public_key()  # read only now, as extensions are
            if any(each.critical and isinstance(each.value, UnrecognizedExtension) for each in certificate.extensions):
                continue  # which no client takes
            reader.load_verify_locations(cadata=block.decode())
            found[certificate] = None
    return tuple(found)


def to_bundle(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates as a bundle (PEM)."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate's time has come, and is not over."""
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def load_into(context: ssl.SSLContext, leaf: ServingCertificate) -> None:
    """Make a server's context use a leaf: the two at once, through a file in memory that nobody else can open.

    Raises ssl.SSLError or OSError where they can't be used; the context then keeps its old ones.
    """
    with in_memory(leaf) as path:
        # First where it does no harm: a context that fails half-way keeps the certificate, and not the key.
        for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
            each.load_cert_chain(path, password=str)  # an empty one: never a prompt


@contextlib.contextmanager
def in_memory(leaf: ServingCertificate) -> Iterator[str]:
    """The path of a file with a leaf's certificate and key, for as long as the context lasts.

    It is in memory alone, its mode is 0600, and it has no name in any folder.
    """
    descriptor = os.memfd_create("model-injector-leaf")
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(leaf.certificate + b"\n" + leaf.key)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def out_of_time(leaf: ServingCertificate, now: datetime) -> str | None:
    """Why a leaf is not valid now; None where it is."""
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    if now < certificate.not_valid_before_utc:
        return f"the certificate is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%SZ}"
    if now >= certificate.not_valid_after_utc:
        return f"the certificate has expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%SZ}"
    return None


def fault(leaf: ServingCertificate, bundle: bytes, host: str, now: datetime) -> str | None:
    """Why a client that trusts `bundle` (PEM) and knows the server as `host` does not take `leaf`; None where it does.

    Both ends of a handshake, in memory: the answer is TLS' own.
    """
    if untimely := out_of_time(leaf, now):
        return untimely
    trusted = [each for each in parse_bundle(bundle) if is_valid(each, now)]
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
        return f"no handshake with the certificate for {host}: {error}"
    return None


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):  # flights of a handshake, at most
        waiting = []
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(end)
        ends = waiting
    if ends:
        raise ssl.SSLError("the handshake has no end")
