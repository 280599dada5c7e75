"""Tagging the objects of a version, for a lifecycle rule of the bucket that deletes objects with this tag."""

from webhook.catalog.bucket.manifest import MANIFEST
from webhook.catalog.bucket.store import NotFound, Store


def tag_version(store: Store, folder: str, tag: str) -> bool:
    """Add `tag`, which is `name=value`, to all objects of a version. False if it was complete before.

    The manifest is tagged last, so that a version whose manifest has the tag is complete. Raises CatalogError.
    """
    name, _, value = tag.partition("=")
    manifest = f"{folder}/{MANIFEST}"
    try:
        if store.tags(manifest).get(name) == value:
            return False
    except NotFound:
        return False
    for stored in store.objects(f"{folder}/"):
        if stored.key != MANIFEST:
            store.add_tag(f"{folder}/{stored.key}", tag)
    store.add_tag(manifest, tag)
    return True
