"""What one version is made of: its manifest, its objects, its tags."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from webhook.catalog.folders import UNFINISHED
from webhook.catalog.manifest import LARGEST, MANIFEST, SUMS, Manifest, decode, digest, sums
from webhook.catalog.store import Object, Store
from webhook.errors import NotThere

_MOST_OBJECTS: Final = 500_000
State = Literal["published", "unmanaged", "unfinished", "absent", "denied", "away"]


class Detail(msgspec.Struct, frozen=True, gc=False):
    """What is known of one version. Sizes are bytes."""

    state: State
    """unmanaged: files without a manifest; unfinished: an upload was begun; denied, away: S3 would or could not say."""
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
    """What S3 said; only where it was denied, or away."""


def inspect(store: Store, folder: str, tag: str) -> Detail:
    """Look at one version: a request for each thousand objects, one for its manifest, one for a required tag.

    What is not listed is not asked for: to who may not list the whole bucket, S3 does not say that it is not there.
    `tag` is `key=value`, or empty. Raises CatalogError.
    """
    objects = []
    for each in store.objects(f"{folder}/"):
        objects.append(each)
        if len(objects) > _MOST_OBJECTS:
            break
    if not objects:
        return Detail("absent")
    if any(each.key == MANIFEST for each in objects):
        content = store.read(f"{folder}/{MANIFEST}", LARGEST).body
        is_tagged = not tag or _has_tag(store, folder, tag)
        return _published(decode(content), content, objects, is_tagged=is_tagged)
    if _is_begun(store, folder):
        return Detail("unfinished")
    size = sum(each.size for each in objects)
    return Detail("unmanaged", len(objects), size, None, size, archived=_archived(objects), is_tagged=not tag)


def read_manifest(store: Store, folder: str) -> tuple[Manifest, bytes] | tuple[None, None]:
    """The manifest of a folder, and as it stands there; twice None where there is none. Raises CatalogError."""
    try:
        content = store.read(f"{folder}/{MANIFEST}", LARGEST).body
    except NotThere:
        return None, None
    return decode(content), content


def _published(manifest: Manifest, content: bytes, objects: list[Object], *, is_tagged: bool) -> Detail:
    added = {SUMS: len(sums(manifest.files)), MANIFEST: len(content)}
    expected = {**{file.path: file.size for file in manifest.files}, **added}
    there = {each.key: each.size for each in objects}
    wrong = [key for key, size in expected.items() if there.get(key) != size]
    strange = [key for key in there if key not in expected]
    return Detail(
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
    )


def _archived(objects: list[Object]) -> str:
    archived = [each.key for each in objects if each.is_archived]
    return f"{len(archived)} of {len(objects)} objects are archived, such as {archived[0]}" if archived else ""


def _has_tag(store: Store, folder: str, tag: str) -> bool:
    key, _, value = tag.partition("=")
    return store.tags(f"{folder}/{MANIFEST}").get(key) == value


def _is_begun(store: Store, folder: str) -> bool:
    return any(each.key == folder for each in store.objects(f"{UNFINISHED}/"))
