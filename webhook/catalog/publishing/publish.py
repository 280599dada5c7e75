"""Publishing a folder as an immutable version.

The steps are: write a marker, upload the files, write SHA256SUMS, and write the manifest if none exists. The version
exists once it has a manifest. An interrupted upload leaves its marker, and publishing the same files continues it.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from webhook.catalog.bucket.errors import CatalogError, NotFound, PreconditionFailed, Unsupported
from webhook.catalog.bucket.folders import UNFINISHED, split
from webhook.catalog.bucket.manifest import LARGEST, MANIFEST, SUMS, Manifest, digest, sums
from webhook.catalog.bucket.status import read_manifest
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import withdrawal_of
from webhook.catalog.publishing.upload import HASH, LocalFile, read
from webhook.catalog.publishing.upload import upload as send
from webhook.errors import InvalidInput

_THREADS: Final = 8
_LARGEST_MARKER: Final = 64 * 1024
_TAKEOVER_SECONDS: Final = 5
"""After replacing a marker: the other publisher finishes writing its manifest, or notices the new marker."""
Progress = Callable[[int], None]
"""Called with numbers of processed bytes, from any thread."""


class AlreadyPublished(CatalogError):
    """The version exists already, and versions never change."""


class PendingUpload(msgspec.Struct, frozen=True):
    """A version that is to be published."""

    folder: str
    """The name of the version's folder in the bucket."""
    manifest: Manifest
    files: tuple[LocalFile, ...]


class _Marker(msgspec.Struct, frozen=True, rename="camel"):
    """The content of a marker: a digest of the files, and when the upload started."""

    content: str
    begun_at: datetime


def plan(  # noqa: PLR0913, PLR0917 - all of them describe the version
    paths: Mapping[str, Path], store: Store, model: str, version: str, labels: Mapping[str, str], progress: Progress
) -> PendingUpload:
    """Read and hash every file of a version.

    Raises InvalidInput for unreadable files and ambiguous names, AlreadyPublished, and CatalogError.
    """
    folder = _available_folder(store, model, version)
    with ThreadPoolExecutor(_THREADS) as threads:
        files = tuple(threads.map(lambda item: read(item[0], item[1], progress), paths.items()))
    manifest = Manifest(model, version, datetime.now(UTC), tuple(local.file for local in files), dict(labels))
    return PendingUpload(folder, manifest, files)


def _available_folder(store: Store, model: str, version: str) -> str:
    """The folder of a version, if it can be published."""
    layout = store.source.layout
    folder = layout.format(model=model, version=version)
    parsed = split(layout, folder)
    if parsed is not None and parsed != (model, version):
        raise InvalidInput(
            f"the folder {folder} would be read as {parsed[0]} in version {parsed[1]}; choose another name or version"
        )
    for parent in PurePosixPath(folder).parents:
        if outer := split(layout, str(parent)):
            raise InvalidInput(f"the folder {folder} is inside {outer[0]} {outer[1]}; choose another name")
    if withdrawal := withdrawal_of(store, model, version):
        raise CatalogError(f"{model} {version} was {withdrawal}; publish another version")
    if read_manifest(store, folder)[0]:
        raise AlreadyPublished(
            f"{model} {version} is published already, and versions never change; publish a new version"
        )
    return folder


def missing(upload: PendingUpload, store: Store) -> list[LocalFile]:
    """The files that are not in the bucket yet, or differ from those there. Raises CatalogError."""
    keys = {stored.key for stored in store.objects(f"{upload.folder}/")}
    with ThreadPoolExecutor(_THREADS) as threads:
        same = threads.map(lambda local: local.file.path in keys and _is_same(store, upload, local), upload.files)
        return [local for local, is_same in zip(upload.files, same, strict=True) if not is_same]


def publish(
    upload: PendingUpload, store: Store, tags: Mapping[str, str], progress: Progress, *, restart: bool = False
) -> Manifest:
    """Upload the files and write the manifest. `restart` replaces an unfinished upload of other files.

    Raises AlreadyPublished if another publisher was faster, and CatalogError.
    """
    marker = f"{UNFINISHED}/{upload.folder}"
    _write_marker(upload, store, marker, restart=restart)
    try:
        store.check_conditions()
    except Unsupported:
        with suppress(CatalogError):
            store.delete(marker)
        raise
    if read_manifest(store, upload.folder)[0]:  # another publisher finished just before the marker was written
        store.delete(marker)
        raise AlreadyPublished(
            f"another publisher has published {upload.manifest.model} {upload.manifest.version} in the meantime"
        )
    _upload_missing(upload, store, progress)
    store.write(f"{upload.folder}/{SUMS}", sums(upload.manifest.files))
    _check(upload, store)
    if not _owns_marker(upload, store, marker):
        raise AlreadyPublished(
            f"another publisher has taken over the upload of {upload.manifest.model} {upload.manifest.version}"
        )
    _write_manifest(upload, store, tags)
    with suppress(CatalogError):  # a marker beside a manifest has no effect, so a denied delete does no harm
        store.delete(marker)
    return upload.manifest


def _upload_missing(upload: PendingUpload, store: Store, progress: Progress) -> None:
    files = missing(upload, store)
    keys = {stored.key for stored in store.objects(f"{upload.folder}/")}
    uploaded = {local.file.path for local in upload.files} - {local.file.path for local in files}
    for key in keys - uploaded - {SUMS, MANIFEST}:
        store.delete(f"{upload.folder}/{key}")
    progress(upload.manifest.size - sum(local.file.size for local in files))
    with ThreadPoolExecutor(_THREADS) as parts, ThreadPoolExecutor(_THREADS) as threads:
        uploads = [threads.submit(_upload, store, upload, local, parts, progress) for local in files]
        try:
            for future in uploads:
                future.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _write_manifest(upload: PendingUpload, store: Store, tags: Mapping[str, str]) -> None:
    """Write the manifest. One with the same content may exist already: botocore retries when a response is lost."""
    key, content = f"{upload.folder}/{MANIFEST}", upload.manifest.encode()
    try:
        store.create(key, content, tags)
    except PreconditionFailed as error:
        if store.read(key, LARGEST).body != content:
            name = f"{upload.manifest.model} {upload.manifest.version}"
            raise AlreadyPublished(
                f"another publisher has published {name} in the meantime, and versions never change"
            ) from error


def _write_marker(upload: PendingUpload, store: Store, marker: str, *, restart: bool) -> None:
    """Write the marker, unless it exists for the same files. Raises CatalogError if the folder has other objects."""
    name = f"{upload.manifest.model} {upload.manifest.version}"
    content = msgspec.json.encode(_Marker(_fingerprint(upload), upload.manifest.created_at))
    try:
        existing = store.read(marker, _LARGEST_MARKER)
    except NotFound:
        unpublished = next(iter(store.objects(f"{upload.folder}/")), None)
        if unpublished and not restart:
            raise CatalogError(
                f"{store.uri(upload.folder)}/ has objects that were not published, such as {unpublished.key}; remove "
                "them, or replace them with --restart"
            ) from None
        try:
            store.create(marker, content)
        except PreconditionFailed:
            _write_marker(upload, store, marker, restart=restart)
        return
    other = _parse_marker(existing.body)
    if other and other.content == _fingerprint(upload):
        return
    if not restart:
        since = f" at {other.begun_at:%Y-%m-%d %H:%M:%SZ}" if other else ""
        raise CatalogError(
            f"an upload of {name} with other files was started{since} and not finished; wait for it, or replace it "
            "with --restart"
        )
    try:
        store.replace(marker, content, existing.etag)
    except PreconditionFailed as error:
        raise CatalogError(f"another publisher has just started to publish {name}; wait for it") from error
    time.sleep(_TAKEOVER_SECONDS)


def _parse_marker(content: bytes) -> _Marker | None:
    """The content of a marker; None if it is invalid."""
    try:
        return msgspec.json.decode(content, type=_Marker)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _fingerprint(upload: PendingUpload) -> str:
    """Identifies the files of an upload by their paths and content."""
    return digest(sums(upload.manifest.files))


def _owns_marker(upload: PendingUpload, store: Store, marker: str) -> bool:
    try:
        existing = _parse_marker(store.read(marker, _LARGEST_MARKER).body)
    except NotFound:  # a publisher of the same files has finished
        return True
    return existing is not None and existing.content == _fingerprint(upload)


def _is_same(store: Store, upload: PendingUpload, local: LocalFile) -> bool:
    try:
        size, metadata = store.metadata(f"{upload.folder}/{local.file.path}")
    except NotFound:
        return False
    return (size, metadata.get(HASH)) == (local.file.size, local.file.sha256)


def _upload(store: Store, upload: PendingUpload, local: LocalFile, parts: Executor, progress: Progress) -> None:
    """Upload a file. It may exist already: another publisher uploads the same files, or a response was lost."""
    try:
        send(store, f"{upload.folder}/{local.file.path}", local, parts, progress)
    except PreconditionFailed as error:
        if not _is_same(store, upload, local):
            raise CatalogError(
                f"another publisher uploads other files to {store.uri(upload.folder)}/; stop that first"
            ) from error
        progress(local.file.size)


def _check(upload: PendingUpload, store: Store) -> None:
    """Check that the folder has exactly the uploaded files. Raises CatalogError if another client changed it."""
    sizes = {stored.key: stored.size for stored in store.objects(f"{upload.folder}/")}
    wanted = {file.path: file.size for file in upload.manifest.files} | {SUMS: len(sums(upload.manifest.files))}
    for key in wanted.keys() | sizes.keys():
        if sizes.get(key) != wanted.get(key):
            raise CatalogError(f"{store.uri(upload.folder)}/{key} was changed during the upload; publish again")
