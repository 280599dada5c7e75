"""The interface of a catalog: it resolves a request to an artifact, or raises why it cannot."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest


class VersionKey(msgspec.Struct, frozen=True):
    """A version of a model in a source. An empty version is the key of the model's listing."""

    source: str
    model: str
    version: str


class Resolved(msgspec.Struct, frozen=True):
    """The artifact that a request resolves to."""

    artifact: Artifact
    warnings: tuple[str, ...] = ()
    is_checked: bool = True
    """Whether the version was looked up in S3, now or earlier."""


class Catalog(Protocol):
    """Resolves requests from memory, without I/O."""

    def resolve(self, request: ModelRequest) -> Resolved:
        """Resolve a request. Raises UnknownModel, or LookupRequired if the answer is not cached."""

    def check(self, request: ModelRequest, version: str) -> None:
        """Raise Withdrawn if this version of the requested model was withdrawn."""


class LookupRequired(Exception):
    """The request needs versions that are not cached yet. Look them up, then resolve again."""

    def __init__(self, keys: Sequence[VersionKey]) -> None:
        super().__init__(*keys)
        self.keys = tuple(keys)


class UnknownModel(Refusal):
    """The catalog has no such model, or has not been read yet."""

    reason = "UnknownModel"


class UnknownVersion(UnknownModel):
    """The catalog has the model, but not this version."""

    reason = "UnknownVersion"


class Unpublished(UnknownModel):
    """The version's upload was not finished, or its manifest lacks the required tag."""

    reason = "Unpublished"


class Incomplete(UnknownModel):
    """The objects in S3 differ from the manifest."""

    reason = "Incomplete"


class Archived(UnknownModel):
    """Objects are archived and have to be restored before they can be read."""

    reason = "Archived"


class NoAccess(UnknownModel):
    """S3 denies the webhook access to the version."""

    reason = "NoAccess"


class Withdrawn(UnknownModel):
    """The version was withdrawn: no pod gets it any more."""

    reason = "Withdrawn"


def resolve_all(requests: Sequence[ModelRequest], catalog: Catalog) -> list[Resolved]:
    """Resolve several requests. Raises UnknownModel, or LookupRequired with the keys of all requests."""
    resolved: list[Resolved] = []
    keys: list[VersionKey] = []
    for request in requests:
        try:
            resolved.append(catalog.resolve(request))
        except LookupRequired as error:
            keys += error.keys
    if keys:
        raise LookupRequired(list(dict.fromkeys(keys)))
    return resolved
