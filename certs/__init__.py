"""Certificates that make an API server trust the webhook."""

from certs.authority import Authority, ServingCertificate
from certs.cluster import ClusterObjects
from certs.errors import CertificateError
from certs.source import AutoSource, CertificateSource, CertificateState, FileSource
from certs.trust import fault, load_into, out_of_time, parse_bundle

__all__ = [
    "Authority",
    "AutoSource",
    "CertificateError",
    "CertificateSource",
    "CertificateState",
    "ClusterObjects",
    "FileSource",
    "ServingCertificate",
    "fault",
    "load_into",
    "out_of_time",
    "parse_bundle",
]
