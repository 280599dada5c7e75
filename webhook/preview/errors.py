"""Manifests that cannot be previewed."""

from webhook.errors import InjectorError


class ManifestError(InjectorError):
    """The manifest cannot be previewed."""


class InvalidManifest(ManifestError):
    """The text is not a Kubernetes manifest. The message names the line or the document."""


class ManifestTooLarge(ManifestError):
    """The manifest exceeds a limit of the preview."""
