"""Downloading a version to this machine."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.manifest import MANIFEST, SUMS, ManifestFile
from webhook.catalog.bucket.status import read_manifest
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.local import check_name
from webhook.errors import InvalidInput

_THREADS: Final = 8


def files_of(store: Store, folder: str) -> tuple[ManifestFile, ...]:
    """The files of a version. Without a manifest, the listed objects, with empty hashes. Raises CatalogError."""
    manifest, _ = read_manifest(store, folder)
    if manifest:
        return manifest.files
    files = tuple(ManifestFile(stored.key, stored.size, "") for stored in store.objects(f"{folder}/"))
    if not files:
        raise CatalogError(f"{store.uri(folder)}/ has no objects")
    return files


def pull(
    store: Store, folder: str, files: tuple[ManifestFile, ...], into: Path, progress: Callable[[int], None]
) -> None:
    """Download the files that `into` lacks, and verify all. Raises CatalogError, and InvalidInput for a bad target."""
    for file in files:
        try:
            check_name(file.path)
        except InvalidInput as error:
            raise CatalogError(f"{store.uri(folder)}: {error}") from error
    known = {SUMS, MANIFEST, *(file.path for file in files)}
    try:
        into.mkdir(parents=True, exist_ok=True)
        for path in into.rglob("*"):
            if path.is_file() and path.relative_to(into).as_posix() not in known:
                raise InvalidInput(f"{path} does not belong to this version; pull into another folder, or remove it")
        with TemporaryDirectory(dir=into.parent, prefix=".pull-") as work, ThreadPoolExecutor(_THREADS) as threads:
            parts = (Path(work) / str(index) for index in range(len(files)))
            list(
                threads.map(
                    lambda pair: _fetch(store, folder, pair[0], into, pair[1], progress), zip(files, parts, strict=True)
                )
            )
    except OSError as error:
        raise InvalidInput(f"{into} cannot be written: {error}") from error


def _fetch(  # noqa: PLR0913, PLR0917 - the source, the target and the progress
    store: Store, folder: str, file: ManifestFile, into: Path, part: Path, progress: Callable[[int], None]
) -> None:
    target = into / file.path
    if not target.resolve().is_relative_to(into.resolve()):
        raise CatalogError(f"the path {file.path} leads out of {into}; its version is not trustworthy")
    if target.is_file() and target.stat().st_size == file.size and _matches(target, file):
        progress(file.size)
        return
    store.download(f"{folder}/{file.path}", part, progress)
    if part.stat().st_size != file.size or not _matches(part, file):
        raise CatalogError(f"{file.path} is corrupt: its size or sha256 differs from the manifest")
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


def _matches(path: Path, file: ManifestFile) -> bool:
    if not file.sha256:
        return True
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
