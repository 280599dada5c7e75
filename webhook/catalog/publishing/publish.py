"""Publishing: a folder becomes a version, once and for ever.

A mark says that an upload has begun, files follow, then SHA256SUMS, and the manifest last, only where there is none.
Whatever ends an upload half-way leaves a mark without a manifest, which counts as nothing; the next try, of the same
files, goes on from there.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from webhook.catalog.bucket.folders import UNFINISHED, split
from webhook.catalog.bucket.manifest import LARGEST, MANIFEST, SUMS, Manifest, digest, sums
from webhook.catalog.bucket.status import read_manifest
from webhook.catalog.bucket.store import CatalogError, NotFound, PreconditionFailed, Store
from webhook.catalog.publishing.upload import HASH, LocalFile, read
from webhook.catalog.publishing.upload import upload as send
from webhook.errors import InvalidInput

_THREADS: Final = 8
_LARGEST_MARK: Final = 64 * 1024
_TAKEOVER_SECONDS: Final = 5
"""For whoever is replaced to write the manifest that is on its way, or to see that the mark is another's."""
Progress = Callable[[int], None]
"""Told of bytes done, from any thread."""


class AlreadyPublished(CatalogError):
    """The version is published already, and versions never change."""


class PendingUpload(msgspec.Struct, frozen=True):
    """What is about to be published."""

    folder: str
    """Its name in the bucket."""
    manifest: Manifest
    files: tuple[LocalFile, ...]


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    """What the mark of an upload says: of which files, and since when."""

    content: str
    begun_at: datetime


def plan(  # noqa: PLR0913, PLR0917 - what makes a version
    paths: Mapping[str, Path], store: Store, model: str, version: str, labels: Mapping[str, str], progress: Progress
) -> PendingUpload:
    """Read every file of a version that may be published.

    Raises InvalidInput for unreadable files and a name that means another version, AlreadyPublished, CatalogError.
    """
    folder = _claim(store, model, version)
    with ThreadPoolExecutor(_THREADS) as threads:
        files = tuple(threads.map(lambda each: read(each[0], each[1], progress), paths.items()))
    manifest = Manifest(model, version, datetime.now(UTC), tuple(each.file for each in files), dict(labels))
    return PendingUpload(folder, manifest, files)


def _claim(store: Store, model: str, version: str) -> str:
    """The folder of a version that may be published."""
    layout = store.source.layout
    folder = layout.format(model=model, version=version)
    said = split(layout, folder)
    if said is not None and said != (model, version):
        raise InvalidInput(f"{folder} would be read as {said[0]} in version {said[1]}; take another name or version")
    for above in PurePosixPath(folder).parents:
        if inside := split(layout, str(above)):
            raise InvalidInput(f"{folder} stands inside of {inside[0]} {inside[1]}; take another name")
    if read_manifest(store, folder)[0]:
        raise AlreadyPublished(
            f"{model} {version} is published already, and versions never change; publish a new version"
        )
    return folder


def missing(upload: PendingUpload, store: Store) -> list[LocalFile]:
    """The files that are not in the bucket yet. Raises CatalogError."""
    there = {each.key for each in store.objects(f"{upload.folder}/")}
    with ThreadPoolExecutor(_THREADS) as threads:
        same = threads.map(lambda each: each.file.path in there and _is_same(store, upload, each), upload.files)
        return [each for each, is_same in zip(upload.files, same, strict=True) if not is_same]


def publish(
    upload: PendingUpload, store: Store, tags: Mapping[str, str], progress: Progress, *, restart: bool = False
) -> Manifest:
    """Upload, and make a version of it. `restart` drops an unfinished upload of other files.

    Raises AlreadyPublished where someone else was first, and CatalogError.
    """
    mark = f"{UNFINISHED}/{upload.folder}"
    _begin(upload, store, mark, restart=restart)
    if read_manifest(store, upload.folder)[0]:  # by someone who finished just before the mark was set
        store.delete(mark)
        raise AlreadyPublished(
            f"{upload.manifest.model} {upload.manifest.version} was published by someone else meanwhile"
        )
    _upload_missing(upload, store, progress)
    store.write(f"{upload.folder}/{SUMS}", sums(upload.manifest.files))
    _check(upload, store)
    if not _is_ours(upload, store, mark):
        raise AlreadyPublished(
            f"someone else took over the upload of {upload.manifest.model} {upload.manifest.version}"
        )
    _write_manifest(upload, store, tags)
    with suppress(CatalogError):  # without a right to delete the mark stays, and means nothing any more
        store.delete(mark)
    return upload.manifest


def _upload_missing(upload: PendingUpload, store: Store, progress: Progress) -> None:
    files = missing(upload, store)
    there = {each.key for each in store.objects(f"{upload.folder}/")}
    known = {each.file.path for each in upload.files} - {each.file.path for each in files}
    for key in there - known - {SUMS, MANIFEST}:
        store.delete(f"{upload.folder}/{key}")
    progress(upload.manifest.size - sum(each.file.size for each in files))
    with ThreadPoolExecutor(_THREADS) as parts, ThreadPoolExecutor(_THREADS) as threads:
        uploads = [threads.submit(_upload, store, upload, each, parts, progress) for each in files]
        try:
            for each in uploads:
                each.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _write_manifest(upload: PendingUpload, store: Store, tags: Mapping[str, str]) -> None:
    """Make it a version. That there is one may be our own doing: an answer was lost, and the client asked again."""
    key, content = f"{upload.folder}/{MANIFEST}", upload.manifest.encode()
    try:
        store.create(key, content, tags)
    except PreconditionFailed as error:
        if store.read(key, LARGEST).body != content:
            name = f"{upload.manifest.model} {upload.manifest.version}"
            raise AlreadyPublished(
                f"{name} was published by someone else meanwhile, and versions never change"
            ) from error


def _begin(upload: PendingUpload, store: Store, mark: str, *, restart: bool) -> None:
    """Set the mark, or find that it is ours. Raises CatalogError where the folder is someone else's."""
    name = f"{upload.manifest.model} {upload.manifest.version}"
    content = msgspec.json.encode(_Mark(_content(upload), upload.manifest.created_at))
    try:
        held = store.read(mark, _LARGEST_MARK)
    except NotFound:
        strange = next(iter(store.objects(f"{upload.folder}/")), None)
        if strange and not restart:
            raise CatalogError(
                f"{store.uri(upload.folder)}/ holds objects that were not published, such as {strange.key}; remove "
                "them, or replace them with --restart"
            ) from None
        try:
            store.create(mark, content)
        except PreconditionFailed:
            _begin(upload, store, mark, restart=restart)
        return
    other = _parse_mark(held.body)
    if other and other.content == _content(upload):
        return
    if not restart:
        since = f" at {other.begun_at:%Y-%m-%d %H:%M:%SZ}" if other else ""
        raise CatalogError(
            f"an upload of {name} with other files was begun{since} and not finished; wait for it, or replace it with "
            "--restart"
        )
    try:
        store.replace(mark, content, held.etag)
    except PreconditionFailed as error:
        raise CatalogError(f"someone else has begun to publish {name} just now") from error
    time.sleep(_TAKEOVER_SECONDS)


def _parse_mark(content: bytes) -> _Mark | None:
    """What a mark says; None where it is spoiled."""
    try:
        return msgspec.json.decode(content, type=_Mark)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _content(upload: PendingUpload) -> str:
    """What tells these files from others."""
    return digest(sums(upload.manifest.files))


def _is_ours(upload: PendingUpload, store: Store, mark: str) -> bool:
    try:
        held = _parse_mark(store.read(mark, _LARGEST_MARK).body)
    except NotFound:  # who was as fast as we are, with the same files, has finished
        return True
    return held is not None and held.content == _content(upload)


def _is_same(store: Store, upload: PendingUpload, local: LocalFile) -> bool:
    try:
        size, metadata = store.metadata(f"{upload.folder}/{local.file.path}")
    except NotFound:
        return False
    return (size, metadata.get(HASH)) == (local.file.size, local.file.sha256)


def _upload(store: Store, upload: PendingUpload, local: LocalFile, parts: Executor, progress: Progress) -> None:
    """Send a file. That it is there by now may be the doing of who publishes the same, or an answer that was lost."""
    try:
        send(store, f"{upload.folder}/{local.file.path}", local, parts, progress)
    except PreconditionFailed as error:
        if not _is_same(store, upload, local):
            raise CatalogError(
                f"someone else uploads other files to {store.uri(upload.folder)}/; end that first"
            ) from error
        progress(local.file.size)


def _check(upload: PendingUpload, store: Store) -> None:
    """What stands there is what was read: nobody else has written meanwhile."""
    sizes = {each.key: each.size for each in store.objects(f"{upload.folder}/")}
    wanted = {file.path: file.size for file in upload.manifest.files} | {SUMS: len(sums(upload.manifest.files))}
    for key in wanted.keys() | sizes.keys():
        if sizes.get(key) != wanted.get(key):
            raise CatalogError(f"{store.uri(upload.folder)}/{key} was changed meanwhile; publish again")
