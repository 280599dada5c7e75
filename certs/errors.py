"""What can go wrong with certificates while everything else is right."""


class CertificateError(Exception):
    """No certificate now, or no word of the cluster. What there was before stays; the next look may do better."""


class Conflict(CertificateError):
    """Someone else has changed the object since it was read."""


class NotFound(CertificateError):
    """The object does not exist."""
