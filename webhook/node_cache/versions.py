"""What a version consists of in S3, as the pod that mounts it may read it."""

import hashlib
import re
from collections.abc import Mapping
from itertools import islice, pairwise
from threading import Lock
from typing import Final, NamedTuple

import msgspec

from webhook.catalog.bucket.errors import CatalogError, NotFound, TooLarge
from webhook.catalog.bucket.manifest import LARGEST, MANIFEST, SUMS, Manifest, ManifestFile, digest, sums
from webhook.catalog.bucket.status import read_manifest
from webhook.catalog.bucket.store import Store, StoredObject
from webhook.catalog.publishing.local import check_name
from webhook.errors import InvalidInput, shown
from webhook.model.artifact import Artifact
from webhook.node_cache.entry import key_of


class _Limits(NamedTuple):
    """How much is read of a version before it is known what it is."""

    manifest: int
    """In bytes."""
    files: int


_SMALL: Final = _Limits(1 << 20, 10_000)
_LARGE: Final = _Limits(LARGEST, 100_000)
_large: Final = Lock()
"""Held while a version beyond `_SMALL` is read, because that takes several times the size of its manifest in memory."""
_MOST_OTHERS: Final = 10_000
"""Objects in the folder that the manifest does not list."""
_LONGEST_NAME: Final = 255
"""Bytes of a name in a folder, in all usual file systems."""
_SUM: Final = re.compile(rb"(\\?)([0-9A-Fa-f]{64})  ?\*?(?:\./)?([^\r\n]+)\r?")
"""A line of SHA256SUMS. After a \\ at its start, the name has each \\ twice."""


class Changed(CatalogError):
    """The version in S3 is another than the one that the pod was admitted with."""


class Unverifiable(CatalogError):
    """Nothing says what the files' hashes are, or whether a file was overwritten."""


class Content(msgspec.Struct, frozen=True):
    """The files of a version, and what identifies them."""

    key: str
    """Its name in the cache."""
    digest: str
    """The sha256 of the manifest, in hex; without a manifest, that of the listing."""
    files: tuple[ManifestFile, ...]
    """The objects of its folder: with a manifest, that and SHA256SUMS are among them."""
    listing: tuple[StoredObject, ...] = ()
    """What was listed, of a version without a manifest."""

    @property
    def bytes(self) -> int:
        """The total size."""
        return sum(file.size for file in self.files)


def read_content(store: Store, artifact: Artifact, expected: str, *, needs_hashes: bool = False) -> Content:
    """Read what a version consists of, with the credentials of the store. `expected`: the digest, if it is known.

    With `needs_hashes`, the hashes of a version without a manifest come from its SHA256SUMS. Raises
    CatalogError: Denied also if the manifest may be read, and the files may not.
    """
    try:
        content = _content(store, artifact, expected, _SMALL)
    except TooLarge:
        with _large:
            content = _content(store, artifact, expected, _LARGE)
    if content.listing and needs_hashes:
        return msgspec.structs.replace(content, files=_with_hashes(store, artifact, content.files))
    return content


def _content(store: Store, artifact: Artifact, expected: str, limits: _Limits) -> Content:
    folder = artifact.folder
    manifest, raw = read_manifest(store, folder, limits.manifest)
    if manifest is None or raw is None:
        listing = _listed(store, folder, limits.files)
        if any(not each.etag for each in listing):
            raise Unverifiable(
                f"{artifact.uri}/ has no {MANIFEST}, and the store gives no ETags, so files that are overwritten "
                "would go unnoticed: publish it with model-injector publish"
            )
        files = tuple(ManifestFile(each.key, each.size, "") for each in listing)
        found = digest(msgspec.json.encode(listing))
    else:
        listing = ()
        files, found = _described(artifact, manifest, raw), digest(raw)
    if not files:
        raise NotFound(f"{artifact.uri}/ has no objects")
    if expected and expected != found:
        raise Changed(f"{artifact.uri} was published again with other files since the pod was created: create it again")
    _check_paths(artifact, files)
    _read_one_byte(store, folder, files)
    return Content(key_of(artifact.uri, artifact.source.endpoint_url, found), found, files, listing)


def etags_of(store: Store, artifact: Artifact, content: Content) -> Mapping[str, str]:
    """The ETags that the files have now, by path. Raises CatalogError: Changed if a file has another size."""
    objects = {
        each.key: each for each in content.listing or _listed(store, artifact.folder, len(content.files) + _MOST_OTHERS)
    }
    for file in content.files:
        found = objects.get(file.path)
        if found is None:
            raise NotFound(f"{artifact.uri}/{file.path} does not exist, and the manifest lists it")
        if found.size != file.size:
            raise Changed(f"{artifact.uri}/{file.path} has {found.size} bytes, and {file.size} in the manifest")
    return {file.path: objects[file.path].etag for file in content.files}


def _read_one_byte(store: Store, folder: str, files: tuple[ManifestFile, ...]) -> None:
    """Raise CatalogError if the files cannot be read: their encryption may need a key that the manifest's does not."""
    readable = next((file for file in files if file.size), None)
    if readable:
        next(store.stream(f"{folder}/{readable.path}", 0, 0), None)


def _described(artifact: Artifact, manifest: Manifest, raw: bytes) -> tuple[ManifestFile, ...]:
    if (manifest.model, manifest.version) != (artifact.model, artifact.version):
        raise CatalogError(f"{artifact.uri}/{MANIFEST} describes {manifest.model} {manifest.version}")
    if len(manifest.files) > _LARGE.files:
        raise CatalogError(f"{artifact.uri}/{MANIFEST} has more than {_LARGE.files} files")
    listed = sums(manifest.files)
    return (
        *manifest.files,
        ManifestFile(SUMS, len(listed), hashlib.sha256(listed).hexdigest()),
        ManifestFile(MANIFEST, len(raw), digest(raw)),
    )


def _listed(store: Store, folder: str, most: int) -> tuple[StoredObject, ...]:
    """The objects of a folder. Raises CatalogError: TooLarge if there are more."""
    listed = tuple(islice(store.objects(f"{folder}/"), most + 1))
    if len(listed) > most:
        raise TooLarge(f"{store.uri(folder)}/ has more than {most} objects")
    return listed


def _with_hashes(store: Store, artifact: Artifact, files: tuple[ManifestFile, ...]) -> tuple[ManifestFile, ...]:
    """The files with the hashes of SHA256SUMS. One that it does not name has none. Raises Unverifiable."""
    try:
        content = store.read(f"{artifact.folder}/{SUMS}", LARGEST).body
    except NotFound:
        raise Unverifiable(f"{artifact.uri}/ has neither {MANIFEST} nor {SUMS}, so no file can be verified") from None
    known = {SUMS.encode(): digest(content)}
    for line in content.split(b"\n"):
        if found := _SUM.fullmatch(line):
            escaped, value, name = found.groups()
            known.setdefault(name.replace(b"\\\\", b"\\") if escaped else name, value.decode().lower())
    return tuple(ManifestFile(file.path, file.size, known.get(file.path.encode(), "")) for file in files)


def _check_paths(artifact: Artifact, files: tuple[ManifestFile, ...]) -> None:
    """Raise CatalogError for a path that leads out of the version's folder, or is in another's way."""
    for file in files:
        try:
            check_name(file.path)
        except InvalidInput as error:
            raise CatalogError(f"{artifact.uri}: {error}") from error
        if any(not part or len(part.encode()) > _LONGEST_NAME for part in file.path.split("/")):
            raise CatalogError(f"{artifact.uri}: {shown(file.path)} cannot be the path of a file in a folder")
    ordered = sorted((file.path for file in files), key=lambda path: path.replace("/", "\0"))  # a folder's are together
    for path, following in pairwise(ordered):
        if path == following:
            raise CatalogError(f"{artifact.uri}: two files have the path {shown(path)}")
        if following.startswith(f"{path}/"):
            raise CatalogError(f"{artifact.uri}: {shown(following)} is below a path that is a file")
