"""The contract of a catalog: it resolves a request to an artifact, or says why it has none."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest


class VersionKey(msgspec.Struct, frozen=True):
    """A version of a model in a source. An empty version stands for the model itself, with all its versions."""

    source: str
    model: str
    version: str


class Resolved(msgspec.Struct, frozen=True):
    """What a request means."""

    artifact: Artifact
    warnings: tuple[str, ...] = ()
    is_checked: bool = True
    """Whether S3 was asked about this version, now or earlier."""


class Catalog(Protocol):
    """Resolves requests, from memory alone."""

    def resolve(self, request: ModelRequest) -> Resolved:
        """The artifact that `request` means. Raises UnknownModel, and LookupRequired where S3 has to be asked first."""


class LookupRequired(Exception):
    """The request needs versions that are not cached yet. Look them up, then resolve again."""

    def __init__(self, keys: Sequence[VersionKey]) -> None:
        super().__init__(*keys)
        self.keys = tuple(keys)


class UnknownModel(Refusal):
    """The catalog has no such model, or cannot tell."""

    reason = "UnknownModel"


class UnknownVersion(UnknownModel):
    """The catalog has the model, and no such version of it."""

    reason = "UnknownVersion"


class Unpublished(UnknownModel):
    """The version's upload was not finished, or its manifest lacks the required tag."""

    reason = "Unpublished"


class Incomplete(UnknownModel):
    """The objects in S3 differ from what the manifest lists."""

    reason = "Incomplete"


class Archived(UnknownModel):
    """Objects are in a storage class from which they have to be restored first."""

    reason = "Archived"


class NoAccess(UnknownModel):
    """S3 denies the webhook access to the version."""

    reason = "NoAccess"


def resolve_all(requests: Sequence[ModelRequest], catalog: Catalog) -> list[Resolved]:
    """Resolve several requests. Raises UnknownModel, and LookupRequired with the keys that all of them need."""
    resolved, keys = list[Resolved](), list[VersionKey]()
    for request in requests:
        try:
            resolved.append(catalog.resolve(request))
        except LookupRequired as error:
            keys += error.keys
    if keys:
        raise LookupRequired(list(dict.fromkeys(keys)))
    return resolved
