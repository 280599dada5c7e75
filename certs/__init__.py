"""Certificates that make the API server trust the webhook: a CA, serving certificates, rotation, and the caBundle."""

from certs.authority import Authority, ServingCertificate
from certs.cluster import ClusterObjects
from certs.errors import CertificateError
from certs.source import AutoSource, CertificateSource, CertificateState, FileSource
from certs.trust import load_into, parse_bundle, validity_error, verification_error

__all__ = [
    "Authority",
    "AutoSource",
    "CertificateError",
    "CertificateSource",
    "CertificateState",
    "ClusterObjects",
    "FileSource",
    "ServingCertificate",
    "load_into",
    "parse_bundle",
    "validity_error",
    "verification_error",
]
