"""The digests of layers that were built before, in the bucket: a layer that a registry has need not be read again.

The digest of a layer is not known before its bytes were produced. These records make a push that was interrupted
continue, and one of another version upload only what is new.
"""

import re
from typing import Final

import msgspec

from webhook.catalog.bucket.errors import CatalogError, Denied, NotFound
from webhook.catalog.bucket.folders import LAYERS
from webhook.catalog.bucket.store import Store

_LARGEST: Final = 4096
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class LayerRecord(msgspec.Struct, frozen=True):
    """A layer that was built."""

    digest: str
    repository: str = ""
    """The repository that it was uploaded to: `registry.example.com/models/my-model`."""


class Records:
    """The records of a bucket, by the recipes of layers. Thread-safe."""

    def __init__(self, store: Store, repository: str = "", *, writes: bool) -> None:
        """`repository` is where the layers are uploaded to."""
        self._store, self._repository, self._writes = store, repository, writes
        self.problem = ""
        """Why a record could not be written, which does no harm."""

    def find(self, recipe: str | None) -> LayerRecord | None:
        """The record of a layer. Raises CatalogError."""
        if recipe is None:
            return None
        try:
            content = self._store.read(f"{LAYERS}/{recipe}", _LARGEST).body
            record = msgspec.json.decode(content, type=LayerRecord)
        except (NotFound, Denied, msgspec.MsgspecError, ValueError):  # without s3:ListBucket, S3 denies what is missing
            return None
        return record if _DIGEST.fullmatch(record.digest) else None

    def write(self, recipe: str | None, digest: str) -> None:
        """Record a layer that was built. What goes wrong is a `problem`."""
        if recipe is None or not self._writes:
            return
        try:
            self._store.write(f"{LAYERS}/{recipe}", msgspec.json.encode(LayerRecord(digest, self._repository)))
        except CatalogError as error:
            self.problem = str(error)
