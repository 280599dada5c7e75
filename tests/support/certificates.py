"""A certificate from an authority that nobody trusts, for one test."""

from dataclasses import dataclass
from pathlib import Path

from certs import Authority


@dataclass(frozen=True)
class ServerCertificate:
    """Files for a TLS server, and the PEM of the authority that signed for it."""

    certificate: Path
    key: Path
    authority: str


def throwaway_certificate(folder: Path, *hosts: str) -> ServerCertificate:
    """A server's certificate for these DNS names, from an authority whose key is already forgotten."""
    authority = Authority.create()
    leaf = authority.issue(hosts)
    files = ServerCertificate(folder / "tls.crt", folder / "tls.key", authority.certificate.decode())
    files.certificate.write_bytes(leaf.certificate)
    files.key.write_bytes(leaf.key)
    return files
