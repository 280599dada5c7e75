"""What one version is made of: its manifest, its objects, its tags."""

from contextlib import nullcontext
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from webhook.catalog.bucket.folders import UNFINISHED
from webhook.catalog.bucket.manifest import LARGEST, MANIFEST, SUMS, Manifest, decode, digest, sums
from webhook.catalog.bucket.store import CatalogError, NotFound, Store, StoredObject

_MOST_OBJECTS: Final = 200_000
_SMALL: Final = 1 << 20
_LARGE: Final = Lock()
"""Held while a manifest of more bytes than `_SMALL` is read: one at a time, for it takes several times its size."""
State = Literal["published", "unmanaged", "unfinished", "absent", "unreadable", "denied", "unreachable"]


class VersionStatus(msgspec.Struct, frozen=True, gc=False):
    """What is known of one version. Sizes are bytes."""

    state: State
    """unmanaged: files, no manifest; unfinished: an upload was begun; unreadable: a manifest that is none; denied,
    away: S3 would or could not say."""
    files: int | None = None
    size: int | None = None
    objects: int | None = None
    object_bytes: int | None = None
    digest: str | None = None
    created_at: datetime | None = None
    archived: str = ""
    """Which objects have to be restored first, in words."""
    wrong: str = ""
    """How the objects differ from the manifest, in words."""
    is_tagged: bool = True
    """Whether the manifest has the tag that the settings require."""
    why: str = ""
    """What S3 said, or what is unreadable; only in those states."""
    etag: str = ""
    """The manifest's, by which a later look knows it again."""


def inspect(store: Store, folder: str, tag: str, known: VersionStatus | None = None) -> VersionStatus:
    """Look at one version: a request for each thousand objects, one for its manifest, one for a required tag.

    What is not listed is not asked for: to who may not list the whole bucket, S3 does not say that it is not there.
    `tag` is `key=value`, or empty; a manifest that is still the one `known` is not read again. Raises CatalogError.
    """
    objects = list(islice(store.objects(f"{folder}/"), _MOST_OBJECTS))
    if len(objects) == _MOST_OBJECTS:
        raise CatalogError(f"{store.uri(folder)}/ holds {_MOST_OBJECTS} objects or more, which no volume should")
    if not objects:
        return VersionStatus("absent")
    for each in objects:
        if each.key == MANIFEST:
            is_tagged = not tag or _has_tag(store, folder, tag)
            if known and known.etag == each.etag and not known.wrong:
                return _seen_again(known, objects, is_tagged=is_tagged)
            with _LARGE if each.size > _SMALL else nullcontext():
                return _published(store, folder, objects, is_tagged=is_tagged)
    if store.has(f"{UNFINISHED}/{folder}"):
        return VersionStatus("unfinished")
    size = sum(each.size for each in objects)
    return VersionStatus("unmanaged", len(objects), size, None, size, archived=_archived(objects), is_tagged=not tag)


def read_manifest(store: Store, folder: str) -> tuple[Manifest, bytes] | tuple[None, None]:
    """The manifest of a folder, and as it stands there; twice None where there is none. Raises CatalogError."""
    try:
        content = store.read(f"{folder}/{MANIFEST}", LARGEST).body
    except NotFound:
        return None, None
    return decode(content), content


def _published(store: Store, folder: str, objects: list[StoredObject], *, is_tagged: bool) -> VersionStatus:
    read = store.read(f"{folder}/{MANIFEST}", LARGEST)
    content, manifest = read.body, decode(read.body)
    named = store.source.layout.format(model=manifest.model, version=manifest.version)
    if named != folder:
        raise CatalogError(f"{store.uri(folder)}/{MANIFEST} is that of {named}; publish instead of copying")
    added = {SUMS: len(sums(manifest.files)), MANIFEST: len(content)}
    expected = {**{file.path: file.size for file in manifest.files}, **added}
    there = {each.key: each.size for each in objects}
    wrong = [key for key, size in expected.items() if there.get(key) != size]
    strange = [key for key in there if key not in expected]
    return VersionStatus(
        "published",
        len(manifest.files),
        manifest.size,
        len(expected),
        sum(expected.values()),
        digest(content),
        manifest.created_at,
        _archived(objects),
        f"{len(wrong) + len(strange)} of its objects are missing, changed or more, such as {(wrong + strange)[0]}"
        if wrong or strange
        else "",
        is_tagged,
        etag=read.etag,
    )


def _seen_again(known: VersionStatus, objects: list[StoredObject], *, is_tagged: bool) -> VersionStatus:
    """A version whose manifest has not changed: as it was, but for what may have become of its objects."""
    there = (len(objects), sum(each.size for each in objects))
    wrong = "" if there == (known.objects, known.object_bytes) else f"it holds {there[0]} objects of {there[1]} bytes"
    return replace(known, archived=_archived(objects), wrong=wrong, is_tagged=is_tagged)


def _archived(objects: list[StoredObject]) -> str:
    archived = [each.key for each in objects if each.is_archived]
    return f"{len(archived)} of {len(objects)} objects are archived, such as {archived[0]}" if archived else ""


def _has_tag(store: Store, folder: str, tag: str) -> bool:
    key, _, value = tag.partition("=")
    return store.tags(f"{folder}/{MANIFEST}").get(key) == value
