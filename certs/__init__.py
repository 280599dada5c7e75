"""Certificates that make an API server trust the webhook."""

from certs.authority import Authority, Leaf
from certs.cluster import Cluster
from certs.errors import CertificateError
from certs.source import Auto, Files, Source, Standing
from certs.trust import fault, load_into, out_of_time, parse_bundle

__all__ = [
    "Authority",
    "Auto",
    "CertificateError",
    "Cluster",
    "Files",
    "Leaf",
    "Source",
    "Standing",
    "fault",
    "load_into",
    "out_of_time",
    "parse_bundle",
]
