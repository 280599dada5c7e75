"""Certificates that make an API server trust the webhook."""

from certs.authority import Authority, ServingCertificate
from certs.cluster import ClusterObjects
from certs.errors import CertificateError, ClusterError
from certs.source import AutoSource, CertificateSource, CertificateState, FileSource
from certs.trust import fault, load_into, out_of_time, parse_bundle
from webhook.kubernetes.client import ApiResponse, KubernetesClient, RequestBody

__all__ = [
    "ApiResponse",
    "Authority",
    "AutoSource",
    "CertificateError",
    "CertificateSource",
    "CertificateState",
    "ClusterError",
    "ClusterObjects",
    "FileSource",
    "KubernetesClient",
    "RequestBody",
    "ServingCertificate",
    "fault",
    "load_into",
    "out_of_time",
    "parse_bundle",
]
