"""What a request means: one exact version of a model."""

import msgspec

from webhook.model.source import Source


class Artifact(msgspec.Struct, frozen=True, cache_hash=True):
    """One exact version of a model, and where its files are."""

    model: str
    version: str
    source: Source
    files: int | None = None
    """The number of its files. None, here and below, where the catalog does not know."""
    bytes: int | None = None
    """The size of its files together."""
    digest: str | None = None
    """The sha256 of its manifest, in hex. None also where it has no manifest."""
    objects: int | None = None
    """The number of objects in its folder: its files, SHA256SUMS and the manifest. None also where it has no manifest,
    because such a folder may change."""
    object_bytes: int | None = None
    """The size of these objects together; without a manifest, the folder's size when it was last listed."""
    folder: str = ""
    """The name of its folder, in the bucket under the prefix and in containers alike: `my-model-1.2.3`. Derived."""
    uri: str = ""
    """Its folder in S3: `s3://my-ml-bucket/model-artifacts/my-model-1.2.3`. Derived."""

    def __post_init__(self) -> None:
        folder = self.source.layout.format(model=self.model, version=self.version)
        parts = (f"s3://{self.source.bucket}", self.source.prefix, folder)
        msgspec.structs.force_setattr(self, "folder", folder)
        msgspec.structs.force_setattr(self, "uri", "/".join(filter(None, parts)))
