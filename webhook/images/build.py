"""Building the image of a version: several layers at once, and then what refers to them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from hashlib import sha256
from threading import Event
from typing import Final, Protocol

import msgspec

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.manifest import MANIFEST, SUMS, digest, sums
from webhook.catalog.bucket.status import read_manifest
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.local import check_name
from webhook.errors import InvalidInput, shown
from webhook.images.image import Blob, Image, image
from webhook.images.layers import LayerFile, recipe, size_of, split
from webhook.images.records import LayerRecord, Records
from webhook.images.stream import FolderReader, LayerStream
from webhook.model.artifact import Artifact

THREADS: Final = 4
"""The number of layers that are built at once."""
_WHITEOUT: Final = ".wh."
_TITLE: Final = "org.opencontainers.image.title"
_VERSION: Final = "org.opencontainers.image.version"


class Content(msgspec.Struct, frozen=True):
    """What an image of a version has."""

    artifact: Artifact
    files: tuple[LayerFile, ...]
    created: str = ""
    """When the version was published, as in RFC 3339. Empty without a manifest."""
    manifest: str | None = None
    """The sha256 of the manifest."""

    @property
    def layers(self) -> list[tuple[LayerFile, ...]]:
        """The files of each layer."""
        return split(self.files)


class Destination(Protocol):
    """A place for images. Thread-safe."""

    def reuse(self, record: LayerRecord, size: int) -> bool:
        """Whether the layer is there, or can be taken from elsewhere without its bytes."""

    def write_layer(self, layer: LayerStream, progress: Callable[[int], None]) -> str:
        """Write a layer, and return its digest."""

    def write_image(self, image: Image, tag: str) -> None:
        """Write what refers to the layers."""


class Built(msgspec.Struct, frozen=True):
    """An image that was built. Sizes are in bytes."""

    digest: str
    layers: int
    bytes: int
    written: int
    """How many of them were not there before."""


def content_of(store: Store, artifact: Artifact) -> Content:
    """What a version has: its files, and what publishing added. Raises CatalogError, also for unsuitable names."""
    folder = artifact.folder
    manifest, text = read_manifest(store, folder)
    if manifest and text:
        listing = sums(manifest.files)
        files = [LayerFile(file.path, file.size, file.sha256) for file in manifest.files]
        files += [
            LayerFile(name, len(added), sha256(added).hexdigest())
            for name, added in ((SUMS, listing), (MANIFEST, text))
        ]
        created = f"{manifest.created_at:%Y-%m-%dT%H:%M:%SZ}"
        content = Content(artifact, tuple(files), created, digest(text))
    else:
        files = [LayerFile(each.key, each.size, "", each.etag) for each in store.objects(f"{folder}/")]
        content = Content(artifact, tuple(files))
    if not content.files:
        raise CatalogError(f"{store.uri(folder)}/ has no objects")
    _check_names(content)
    return content


def _check_names(content: Content) -> None:
    folders = {"/".join(parts[:length]) for parts in _parts(content) for length in range(1, len(parts))}
    for file in content.files:
        try:
            check_name(file.path)
        except InvalidInput as error:
            raise CatalogError(f"{content.artifact.uri}: {error}") from error
        if any(part.startswith(_WHITEOUT) for part in file.path.split("/")):
            raise CatalogError(
                f"{shown(file.path)}: names that begin with {_WHITEOUT} delete files in images; rename it"
            )
        if file.path in folders:
            raise CatalogError(f"{shown(file.path)} is both a file and a folder, which no file system has; rename it")


def _parts(content: Content) -> Iterator[list[str]]:
    return (file.path.split("/") for file in content.files)


def build(  # noqa: PLR0913 - the source, the destination, and what is shared with it
    store: Store,
    content: Content,
    destination: Destination,
    records: Records,
    *,
    tag: str,
    stopped: Event,
    progress: Callable[[int], None],
) -> Built:
    """Build an image, which exists once all of its layers do. Raises CatalogError, and the errors of the destination.

    After an error, `stopped` is set, and ends the layers that are not complete.
    """
    reader = FolderReader(store, content.artifact.folder, stopped)

    def one(files: Sequence[LayerFile]) -> tuple[Blob, int]:
        """A layer, and how many of its bytes were written."""
        size, key = size_of(files), recipe(files, content.artifact.uri)
        record = records.find(key)
        if record and destination.reuse(record, size):
            progress(size)
            return Blob(record.digest, size), 0
        written = destination.write_layer(LayerStream(files, reader), progress)
        records.write(key, written)
        return Blob(written, size), size

    with closing(reader), ThreadPoolExecutor(THREADS) as threads:
        futures = [threads.submit(one, files) for files in content.layers]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    blobs, written = zip(*(future.result() for future in futures), strict=True)
    if content.manifest is None and content_of(store, content.artifact) != content:
        raise CatalogError(f"{content.artifact.uri}/ has changed in the meantime; start again")
    built = image(blobs, content.created, {_TITLE: content.artifact.model, _VERSION: content.artifact.version})
    destination.write_image(built, tag)
    return Built(built.index.digest, len(blobs), sum(blob.size for blob in blobs), sum(written))
