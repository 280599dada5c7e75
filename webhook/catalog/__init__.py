"""What models there are: a Catalog turns what is asked for into an Artifact."""

from typing import Protocol

import msgspec

from webhook.request import ModelRequest
from webhook.settings import Source

__all__ = ["Artifact", "Catalog"]


class Artifact(msgspec.Struct, frozen=True):
    """One exact version of a model, and where its files are."""

    model: str
    version: str
    source: Source
    files: int | None = None
    """How many files it has; None where the catalog does not know, as for the next two."""
    bytes: int | None = None
    """Their size together."""
    digest: str | None = None
    """sha256 of its manifest, in hex."""
    folder: str = ""
    """The name of its folder, in the bucket under the prefix and on disk alike: `my-model-1.2.3`. Derived."""
    uri: str = ""
    """Its folder in S3: `s3://my-ml-bucket/model-artifacts/my-model-1.2.3`. Derived."""

    def __post_init__(self) -> None:
        folder = self.source.layout.format(model=self.model, version=self.version)
        parts = (f"s3://{self.source.bucket}", self.source.prefix, folder)
        msgspec.structs.force_setattr(self, "folder", folder)
        msgspec.structs.force_setattr(self, "uri", "/".join(filter(None, parts)))


class Catalog(Protocol):
    """A source of artifacts, answering from memory."""

    def resolve(self, request: ModelRequest) -> Artifact:
        """The artifact that `request` asks for. Raises UnknownModel."""
