"""An exact version of a model: the result of resolving a request."""

import msgspec

from webhook.model.source import Source


class Artifact(msgspec.Struct, frozen=True, cache_hash=True):
    """An exact version of a model, and where its files are."""

    model: str
    version: str
    source: Source
    files: int | None = None
    """The number of files. This and the following fields are None if the catalog does not know them."""
    bytes: int | None = None
    """The total size of the files."""
    digest: str | None = None
    """The sha256 of the manifest, in hex. None without a manifest."""
    objects: int | None = None
    """The number of objects in the folder: the files, SHA256SUMS and the manifest. None without a manifest, because
    such a folder may change."""
    object_bytes: int | None = None
    """The total size of these objects. Without a manifest, the folder's size when it was last listed."""
    image: str | None = None
    """The OCI image with the same files: `registry.example.com/models/my-model@sha256:…`. None if the catalog records
    none for this content."""
    folder: str = ""
    """The name of its folder, in the bucket under the prefix and in containers alike: `my-model-1.2.3`. Derived."""
    uri: str = ""
    """Its folder in S3: `s3://my-ml-bucket/model-artifacts/my-model-1.2.3`. Derived."""

    def __post_init__(self) -> None:
        folder = self.source.layout.format(model=self.model, version=self.version)
        parts = (f"s3://{self.source.bucket}", self.source.prefix, folder)
        msgspec.structs.force_setattr(self, "folder", folder)
        msgspec.structs.force_setattr(self, "uri", "/".join(filter(None, parts)))
