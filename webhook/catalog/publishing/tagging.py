"""The tag by which a lifecycle rule of the bucket deletes the objects of a version.

The manifest gets the tag first and loses it last, so that a version whose manifest does not have the tag has it
nowhere. The last of the other objects gets it last and loses it first, so that a version has it everywhere if this one
does. A change that was interrupted can be repeated.
"""

from webhook.catalog.bucket.manifest import MANIFEST
from webhook.catalog.bucket.store import Store


def has_tag(store: Store, folder: str, tag: str) -> bool:
    """Whether objects of a version may have `tag`, which is `name=value`. Raises CatalogError."""
    return _has(store, f"{folder}/{MANIFEST}", tag)


def is_completely_tagged(store: Store, folder: str, tag: str) -> bool:
    """Whether all objects of a version have the tag, if the manifest has it. Raises CatalogError."""
    return _has(store, _keys(store, folder)[-1], tag)


def tag_version(store: Store, folder: str, tag: str) -> None:
    """Add the tag to all objects of a version. Raises CatalogError."""
    for key in _keys(store, folder):
        store.add_tag(key, tag)


def untag_version(store: Store, folder: str, tag: str) -> None:
    """Remove the tag from all objects of a version. Raises CatalogError."""
    for key in reversed(_keys(store, folder)):
        store.remove_tag(key, tag)


def _has(store: Store, key: str, tag: str) -> bool:
    name, _, value = tag.partition("=")
    return store.tags(key).get(name) == value


def _keys(store: Store, folder: str) -> list[str]:
    """The keys in the order in which they are tagged. They lose the tag in the opposite one."""
    keys = [f"{folder}/{stored.key}" for stored in store.objects(f"{folder}/") if stored.key != MANIFEST]
    return [f"{folder}/{MANIFEST}", *sorted(keys)]
