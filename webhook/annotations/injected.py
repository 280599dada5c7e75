"""What is told of each model that a pod got: in its annotation `injected`, in the audit log and in ours."""

from functools import lru_cache
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from webhook.catalog import Artifact
from webhook.model.request import ModelRequest


class InjectedModel(msgspec.Struct, frozen=True):
    """One model: what was asked for, and what came of it."""

    model: str
    asked: Annotated[str, Meta(description="The version as it was asked for.")]
    version: Annotated[str, Meta(description="The exact version that this is.")]
    strategy: str
    uri: Annotated[str, Meta(description="The folder that it comes from.")]
    files: Annotated[int | None, Meta(description="How many, where the catalog knows.")]
    bytes: Annotated[int | None, Meta(description="Of all files, where the catalog knows.")]
    digest: Annotated[str | None, Meta(description="Of the manifest that it was published with.")]

    @classmethod
    def of(cls, request: ModelRequest, artifact: Artifact) -> Self:
        """The record of a request that the catalog answered with this artifact."""
        return cls(
            artifact.model,
            request.version,
            artifact.version,
            request.strategy,
            artifact.uri,
            artifact.files,
            artifact.bytes,
            artifact.digest,
        )


_decoder = msgspec.json.Decoder(tuple[InjectedModel, ...])


@lru_cache(maxsize=256)
def encode(records: tuple[InjectedModel, ...]) -> str:
    """The value of the annotation `injected`."""
    return msgspec.json.encode(records).decode()


def decode(text: str) -> tuple[InjectedModel, ...]:
    """What the annotation `injected` tells; nothing, where someone else has written it."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ()
