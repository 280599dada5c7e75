"""What models there are: a Catalog turns what is asked for into an Artifact."""

from dataclasses import dataclass
from typing import Protocol

from webhook.annotations import ModelRequest
from webhook.settings import Source

__all__ = ["Artifact", "Catalog"]


@dataclass(frozen=True, slots=True)
class Artifact:
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

    @property
    def folder(self) -> str:
        """The name of its folder, in the bucket under the prefix and on disk alike: `my-model-1.2.3`."""
        return self.source.layout.format(model=self.model, version=self.version)

    @property
    def uri(self) -> str:
        """Its folder in S3: `s3://my-ml-bucket/model-artifacts/my-model-1.2.3`."""
        return "/".join(part for part in (f"s3://{self.source.bucket}", self.source.prefix, self.folder) if part)


class Catalog(Protocol):
    """A source of artifacts, answering from memory."""

    def resolve(self, request: ModelRequest) -> Artifact:
        """The artifact that `request` asks for. Raises UnknownModel."""
