"""What can go wrong with certificates while everything else is right."""


class CertificateError(Exception):
    """No certificate now, or no word of the cluster. What there was before stays; the next look may do better."""


class ClusterError(CertificateError):
    """There is no cluster, or it does not answer as it should."""


class ObjectChanged(ClusterError):
    """Someone else has changed the object since it was read."""


class ObjectNotFound(ClusterError):
    """The object does not exist."""
