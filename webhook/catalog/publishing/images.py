"""Recording the image of a version."""

from webhook.catalog.bucket.folders import IMAGES
from webhook.catalog.bucket.images import LARGEST, VersionImage, parse_images
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.changing import change


def record(store: Store, model: str, version: str, image: VersionImage) -> None:
    """Record the image of a version, in place of an earlier one. Raises CatalogError."""

    def edit(images: dict[str, VersionImage]) -> None:
        images[version] = image

    change(store, f"{IMAGES}/{model}.json", LARGEST, parse_images, edit)
