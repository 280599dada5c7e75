"""Certificates that make an API server trust the webhook."""

from webhook.kubernetes.client import Api, Body, Reply
from certs.authority import Authority, Leaf
from certs.cluster import Cluster
from certs.errors import CertificateError, ClusterError
from certs.source import Auto, Files, Source, Standing
from certs.trust import fault, load_into, out_of_time, parse_bundle

__all__ = [
    "Api",
    "Authority",
    "Auto",
    "Body",
    "CertificateError",
    "Cluster",
    "ClusterError",
    "Files",
    "Leaf",
    "Reply",
    "Source",
    "Standing",
    "fault",
    "load_into",
    "out_of_time",
    "parse_bundle",
]
