"""What can go wrong with certificates while everything else works."""

from webhook.kubernetes.client import ClusterError


class CertificateError(Exception):
    """No usable certificate now. The previous one stays in use; a later attempt may succeed."""


class ObjectChanged(ClusterError):
    """A guarded write failed: the object changed since it was read."""


class ObjectNotFound(ClusterError):
    """The object does not exist."""
