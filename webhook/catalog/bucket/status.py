"""The status of one version, from its manifest, objects and tags."""

from contextlib import nullcontext
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from webhook.catalog.bucket.errors import CatalogError, NotFound
from webhook.catalog.bucket.folders import UNFINISHED
from webhook.catalog.bucket.manifest import LARGEST, MANIFEST, SUMS, Manifest, decode, digest, sums
from webhook.catalog.bucket.store import Store, StoredObject

_MOST_OBJECTS: Final = 200_000
_SMALL: Final = 1 << 20
_LARGE: Final = Lock()
"""Held while a manifest larger than `_SMALL` bytes is read: parsing takes several times its size in memory."""
State = Literal["published", "unmanaged", "unfinished", "absent", "unreadable", "denied", "unreachable"]


class VersionStatus(msgspec.Struct, frozen=True, gc=False):
    """The status of one version. Sizes are in bytes."""

    state: State
    """unmanaged: files without a manifest. unfinished: an upload was started and not finished. unreadable: the manifest
    is invalid. denied: S3 denies access. unreachable: S3 did not answer."""
    files: int | None = None
    size: int | None = None
    objects: int | None = None
    object_bytes: int | None = None
    digest: str | None = None
    created_at: datetime | None = None
    archived: str = ""
    """Which objects are archived, in words."""
    mismatch: str = ""
    """How the objects differ from the manifest, in words."""
    is_tagged: bool = True
    """Whether the manifest has the tag that the settings require."""
    error: str = ""
    """The message of the error, in the states unreadable, denied and unreachable."""
    etag: str = ""
    """The manifest's ETag, by which a later lookup recognizes it as unchanged."""


def inspect(store: Store, folder: str, tag: str, known: VersionStatus | None = None) -> VersionStatus:
    """Look up one version: a request per thousand objects, one for the manifest, and one for a required tag.

    `tag` is `key=value`, or empty. A manifest whose ETag is that of `known` is not read again. Raises CatalogError.
    """
    objects = list(islice(store.objects(f"{folder}/"), _MOST_OBJECTS))
    if len(objects) == _MOST_OBJECTS:
        raise CatalogError(f"{store.uri(folder)}/ has {_MOST_OBJECTS} objects or more, which is too many for a volume")
    if not objects:
        return VersionStatus("absent")
    # Objects are requested only if they are listed: without s3:ListBucket on the whole bucket, S3 answers requests for
    # missing objects with 403 instead of 404.
    for stored in objects:
        if stored.key == MANIFEST:
            is_tagged = not tag or _has_tag(store, folder, tag)
            if known and stored.etag and known.etag == stored.etag and not known.mismatch:
                return _unchanged(known, objects, is_tagged=is_tagged)
            with _LARGE if stored.size > _SMALL else nullcontext():
                return _published(store, folder, objects, is_tagged=is_tagged)
    if store.exists(f"{UNFINISHED}/{folder}"):
        return VersionStatus("unfinished")
    size = sum(stored.size for stored in objects)
    return VersionStatus("unmanaged", len(objects), size, None, size, archived=_archived(objects), is_tagged=not tag)


def read_manifest(store: Store, folder: str, largest: int = LARGEST) -> tuple[Manifest, bytes] | tuple[None, None]:
    """The manifest of a folder, parsed and as bytes. (None, None) without a manifest. Raises CatalogError.

    TooLarge if it has more than `largest` bytes, of which none is read then.
    """
    try:
        content = store.read(f"{folder}/{MANIFEST}", largest).body
    except NotFound:
        return None, None
    return decode(content), content


def _published(store: Store, folder: str, objects: list[StoredObject], *, is_tagged: bool) -> VersionStatus:
    read = store.read(f"{folder}/{MANIFEST}", LARGEST)
    content, manifest = read.body, decode(read.body)
    described = store.source.layout.format(model=manifest.model, version=manifest.version)
    if described != folder:
        raise CatalogError(f"{store.uri(folder)}/{MANIFEST} describes {described}; publish versions, do not copy them")
    added = {SUMS: len(sums(manifest.files)), MANIFEST: len(content)}
    expected = {**{file.path: file.size for file in manifest.files}, **added}
    actual = {stored.key: stored.size for stored in objects}
    different = [key for key, size in expected.items() if actual.get(key) != size]
    different += [key for key in actual if key not in expected]
    return VersionStatus(
        "published",
        len(manifest.files),
        manifest.size,
        len(expected),
        sum(expected.values()),
        digest(content),
        manifest.created_at,
        _archived(objects),
        f"objects that are missing, changed or added: {len(different)}, such as {different[0]}" if different else "",
        is_tagged,
        etag=read.etag,
    )


def _unchanged(known: VersionStatus, objects: list[StoredObject], *, is_tagged: bool) -> VersionStatus:
    """The status of a version whose manifest has not changed, with what may have changed: objects and tag."""
    count, size = len(objects), sum(stored.size for stored in objects)
    is_same = (count, size) == (known.objects, known.object_bytes)
    mismatch = "" if is_same else f"the folder has {count} objects of {size} bytes"
    return replace(known, archived=_archived(objects), mismatch=mismatch, is_tagged=is_tagged)


def _archived(objects: list[StoredObject]) -> str:
    archived = [stored.key for stored in objects if stored.is_archived]
    return f"{len(archived)} of {len(objects)} objects are archived, such as {archived[0]}" if archived else ""


def _has_tag(store: Store, folder: str, tag: str) -> bool:
    key, _, value = tag.partition("=")
    return store.tags(f"{folder}/{MANIFEST}").get(key) == value
