"""What is told of each model that a pod got: in its annotation `injected`, in the audit log and in ours."""

from functools import lru_cache
from typing import Self

import msgspec

from webhook.catalog import Artifact
from webhook.request import ModelRequest


class Record(msgspec.Struct, frozen=True):
    """One model: what was asked for, and what came of it."""

    model: str
    asked: str
    """The version as it was asked for."""
    version: str
    strategy: str
    uri: str
    files: int | None
    bytes: int | None
    digest: str | None

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


_decoder = msgspec.json.Decoder(tuple[Record, ...])


@lru_cache(maxsize=256)
def encode(records: tuple[Record, ...]) -> str:
    """The value of the annotation `injected`."""
    return msgspec.json.encode(records).decode()


def decode(text: str) -> tuple[Record, ...]:
    """What the annotation `injected` tells; nothing, where someone else has written it."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ()
