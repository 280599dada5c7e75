"""What models there are: a Catalog turns what is asked for into an Artifact."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from webhook.model.request import ModelRequest
from webhook.settings import Source

__all__ = ["Artifact", "Catalog", "LookupRequired", "Resolved", "VersionKey", "resolve_all"]


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
    """sha256 of its manifest, in hex; None also where it has no manifest."""
    objects: int | None = None
    """How many objects its folder holds for ever: the files, and what publishing adds. None where there is no manifest,
    for then the folder may change."""
    object_bytes: int | None = None
    """Their size together; of a folder that may change, its size when it was last seen."""
    folder: str = ""
    """The name of its folder, in the bucket under the prefix and on disk alike: `my-model-1.2.3`. Derived."""
    uri: str = ""
    """Its folder in S3: `s3://my-ml-bucket/model-artifacts/my-model-1.2.3`. Derived."""

    def __post_init__(self) -> None:
        folder = self.source.layout.format(model=self.model, version=self.version)
        parts = (f"s3://{self.source.bucket}", self.source.prefix, folder)
        msgspec.structs.force_setattr(self, "folder", folder)
        msgspec.structs.force_setattr(self, "uri", "/".join(filter(None, parts)))


class VersionKey(msgspec.Struct, frozen=True):
    """Where a version is: the key of what the catalog knows of it. No version: the model itself."""

    source: str
    model: str
    version: str


class Resolved(msgspec.Struct, frozen=True):
    """What the catalog answers."""

    artifact: Artifact
    warnings: tuple[str, ...] = ()
    is_checked: bool = True
    """Whether S3 was asked about this version, now or before."""


class Catalog(Protocol):
    """A source of artifacts, answering from memory."""

    def resolve(self, request: ModelRequest) -> Resolved:
        """The artifact that `request` asks for. Raises UnknownModel, and LookupRequired where a look at S3 is due first."""


def resolve_all(requests: Sequence[ModelRequest], catalog: Catalog) -> list[Resolved]:
    """The answers to several requests. Raises UnknownModel, and LookupRequired with all places that any of them waits for."""
    resolved, unread = list[Resolved](), list[VersionKey]()
    for request in requests:
        try:
            resolved.append(catalog.resolve(request))
        except LookupRequired as error:
            unread += error.places
    if unread:
        raise LookupRequired(list(dict.fromkeys(unread)))
    return resolved


class LookupRequired(Exception):
    """What is asked for depends on places that the catalog has not read yet. Once it has, the answer is another."""

    def __init__(self, places: Sequence[VersionKey]) -> None:
        super().__init__(*places)
        self.places = tuple(places)
