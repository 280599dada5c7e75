"""Publishing: a folder becomes a version, once and for ever.

A mark says that an upload has begun, files follow, then SHA256SUMS, and the manifest last, only where there is none.
Whatever ends an upload half-way leaves a mark without a manifest, which counts as nothing; the next try, of the same
files, goes on from there.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from webhook.catalog.detail import read_manifest
from webhook.catalog.folders import UNFINISHED, split
from webhook.catalog.local import hashed
from webhook.catalog.manifest import LARGEST, MANIFEST, SUMS, File, Manifest, digest, sums
from webhook.catalog.store import Store
from webhook.errors import CatalogError, Changed, InvalidInput, NotThere

_THREADS: Final = 8
_LARGEST_MARK: Final = 64 * 1024
_HASH: Final = "sha256"
"""The metadata by which an uploaded file is known again."""
Progress = Callable[[int], None]
"""Told of bytes done, from any thread."""


class Exists(CatalogError):
    """The version is published already."""


class Upload(msgspec.Struct, frozen=True):
    """What is about to be published."""

    folder: str
    """Its name in the bucket."""
    manifest: Manifest
    paths: Mapping[str, Path]
    written: Mapping[str, int]
    """When each file was last written, in nanoseconds: one that changes under the upload is noticed."""


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    """What the mark of an upload says: of which files, and since when."""

    content: str
    begun_at: datetime


def plan(  # noqa: PLR0913, PLR0917 - what makes a version
    paths: Mapping[str, Path], store: Store, model: str, version: str, labels: Mapping[str, str], progress: Progress
) -> Upload:
    """Read every file of a version that may be published.

    Raises InvalidInput for files that can't be read and a name that says another version, Exists, and CatalogError.
    """
    folder = _claim(store, model, version)
    written = {name: path.stat().st_mtime_ns for name, path in paths.items()}
    with ThreadPoolExecutor(_THREADS) as threads:
        files = tuple(threads.map(lambda each: hashed(each[0], each[1], progress), paths.items()))
    return Upload(folder, Manifest(model, version, datetime.now(UTC), files, dict(labels)), paths, written)


def _claim(store: Store, model: str, version: str) -> str:
    """The folder of a version that may be published."""
    layout = store.source.layout
    folder = layout.format(model=model, version=version)
    read = split(layout, folder)
    if read is not None and read != (model, version):
        raise InvalidInput(f"{folder} would be read as {read[0]} in version {read[1]}; take another name or version")
    if read_manifest(store, folder)[0]:
        raise Exists(f"{model} {version} is published already, and versions never change; publish a new version")
    return folder


def missing(upload: Upload, store: Store) -> list[File]:
    """The files that are not in the bucket yet. Raises CatalogError."""
    there = {each.key for each in store.objects(f"{upload.folder}/")}
    with ThreadPoolExecutor(_THREADS) as threads:
        same = threads.map(lambda file: file.path in there and _is_same(store, upload, file), upload.manifest.files)
    return [file for file, is_same in zip(upload.manifest.files, same, strict=True) if not is_same]


def publish(
    upload: Upload, store: Store, tags: Mapping[str, str], progress: Progress, *, restart: bool = False
) -> Manifest:
    """Upload, and make a version of it. `restart` drops an unfinished upload of other files.

    Raises Exists where someone else was first, and CatalogError.
    """
    mark = f"{UNFINISHED}/{upload.folder}"
    _begin(upload, store, mark, restart=restart)
    if read_manifest(store, upload.folder)[0]:  # by someone who finished just before the mark was set
        store.delete(mark)
        raise Exists(f"{upload.manifest.model} {upload.manifest.version} was published by someone else meanwhile")
    for key in _strange(upload, store):
        store.delete(f"{upload.folder}/{key}")
    _upload_missing(upload, store, progress)
    store.write(f"{upload.folder}/{SUMS}", sums(upload.manifest.files))
    _check(upload, store)
    if not _is_ours(upload, store, mark):
        raise Exists(f"someone else took over the upload of {upload.manifest.model} {upload.manifest.version}")
    _write_manifest(upload, store, tags)
    with suppress(CatalogError):  # without a right to delete the mark stays, and means nothing any more
        store.delete(mark)
    return upload.manifest


def _upload_missing(upload: Upload, store: Store, progress: Progress) -> None:
    files = missing(upload, store)
    progress(upload.manifest.size - sum(file.size for file in files))
    with ThreadPoolExecutor(_THREADS) as threads:
        uploads = [threads.submit(_upload, store, upload, file, progress) for file in files]
        try:
            for each in uploads:
                each.result()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _write_manifest(upload: Upload, store: Store, tags: Mapping[str, str]) -> None:
    """Make it a version. That there is one may be our own doing: an answer was lost, and the client asked again."""
    key, content = f"{upload.folder}/{MANIFEST}", upload.manifest.encode()
    try:
        store.create(key, content, tags)
    except Changed as error:
        if store.read(key, LARGEST).body != content:
            name = f"{upload.manifest.model} {upload.manifest.version}"
            raise Exists(f"{name} was published by someone else meanwhile, and versions never change") from error


def _begin(upload: Upload, store: Store, mark: str, *, restart: bool) -> None:
    """Set the mark, or find that it is ours. Raises CatalogError where the folder is someone else's."""
    name = f"{upload.manifest.model} {upload.manifest.version}"
    content = msgspec.json.encode(_Mark(_content(upload), upload.manifest.created_at))
    try:
        held = store.read(mark, _LARGEST_MARK)
    except NotThere:
        strange = next(iter(store.objects(f"{upload.folder}/")), None)
        if strange and not restart:
            raise CatalogError(
                f"{store.uri(upload.folder)}/ holds objects that were not published, such as {strange.key}; remove "
                "them, or replace them with --restart"
            ) from None
        try:
            store.create(mark, content)
        except Changed:
            _begin(upload, store, mark, restart=restart)
        return
    other = msgspec.json.decode(held.body, type=_Mark)
    if other.content == _content(upload):
        return
    if not restart:
        raise CatalogError(
            f"an upload of {name} with other files was begun at {other.begun_at:%Y-%m-%d %H:%M:%SZ} and not finished; "
            "wait for it, or replace it with --restart"
        )
    try:
        store.replace(mark, content, held.etag)
    except Changed as error:
        raise CatalogError(f"someone else has begun to publish {name} just now") from error


def _content(upload: Upload) -> str:
    """What tells these files from others."""
    return digest(sums(upload.manifest.files))


def _is_ours(upload: Upload, store: Store, mark: str) -> bool:
    try:
        held = msgspec.json.decode(store.read(mark, _LARGEST_MARK).body, type=_Mark)
    except NotThere:  # who was as fast as we are, with the same files, has finished
        return True
    return held.content == _content(upload)


def _strange(upload: Upload, store: Store) -> list[str]:
    known = {file.path for file in upload.manifest.files} | {SUMS, MANIFEST}
    return [each.key for each in store.objects(f"{upload.folder}/") if each.key not in known]


def _is_same(store: Store, upload: Upload, file: File) -> bool:
    try:
        size, metadata = store.metadata(f"{upload.folder}/{file.path}")
    except NotThere:
        return False
    return (size, metadata.get(_HASH)) == (file.size, file.sha256)


def _upload(store: Store, upload: Upload, file: File, progress: Progress) -> None:
    path = upload.paths[file.path]
    store.upload(path, f"{upload.folder}/{file.path}", {_HASH: file.sha256}, progress)
    if path.stat().st_mtime_ns != upload.written[file.path]:
        store.delete(f"{upload.folder}/{file.path}")
        raise CatalogError(f"{file.path} has changed while it was uploaded; publish again")


def _check(upload: Upload, store: Store) -> None:
    """What stands there is what was read: nobody else has written meanwhile."""
    sizes = {each.key: each.size for each in store.objects(f"{upload.folder}/")}
    for file in upload.manifest.files:
        if sizes.get(file.path) != file.size:
            raise CatalogError(f"{store.uri(upload.folder)}/{file.path} was changed meanwhile; publish again")
