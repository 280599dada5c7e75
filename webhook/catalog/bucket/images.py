"""The OCI images of a model's versions, as the catalog records them: one JSON object for each model."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from webhook.catalog.bucket.errors import CatalogError
from webhook.fields.parsers import EXACT_VERSION, IMAGE_REPOSITORY

LARGEST: Final = 4 * 1024 * 1024
"""The maximum size of a model's images in bytes."""
_REFERENCE: Final = re.compile(rf"{IMAGE_REPOSITORY}@sha256:[0-9a-f]{{64}}", re.ASCII)
_LONGEST: Final = 512


class VersionImage(msgspec.Struct, frozen=True, gc=False):
    """The image of one version."""

    reference: str
    """The image with its digest: `registry.example.com/models/my-model@sha256:…`."""
    manifest: str | None = None
    """The sha256 of the version's manifest.json when the image was built. None if it had no manifest. A version that
    was removed and published again with other files has another manifest, and the image is not its image."""


class Images(msgspec.Struct, frozen=True):
    """The images of one model, and the object's ETag, by which a later listing recognizes them as unchanged."""

    etag: str
    versions: Mapping[str, VersionImage]


def parse_images(content: bytes) -> dict[str, VersionImage]:
    """Parse the object with a model's images. Raises CatalogError."""
    try:
        images = msgspec.json.decode(content, type=dict[str, VersionImage])
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise CatalogError(f"images are a JSON object of versions and references: {error}") from error
    for version, image in images.items():
        is_reference = len(image.reference) <= _LONGEST and _REFERENCE.fullmatch(image.reference)
        if not EXACT_VERSION.fullmatch(version) or not is_reference:
            raise CatalogError(
                f"image {image.reference!r} of version {version!r} is invalid; an image is REGISTRY/NAME@sha256:…"
            )
    return images
