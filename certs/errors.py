"""Errors of certificates and of the objects that hold them. The webhook keeps serving when they occur."""

from webhook.kubernetes.client import ClusterError


class CertificateError(Exception):
    """The certificate cannot be read. The previous one stays in use; a later attempt may succeed."""


class ObjectChanged(ClusterError):
    """A write with a resourceVersion failed: the object changed since it was read."""


class ObjectNotFound(ClusterError):
    """The object does not exist."""
