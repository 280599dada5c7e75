"""The annotation `injected` on a pod: a JSON list of the models that the pod got. Audit annotations hold the same."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Self

import msgspec
from pydantic import Field

from webhook.model.artifact import Artifact


@dataclass(frozen=True, slots=True)
class InjectedModel:
    """One model: what was asked for, and what the pod got."""

    model: str
    asked: Annotated[str, Field(description="The version as it was asked for.")]
    version: Annotated[str, Field(description="The exact version.")]
    strategy: Annotated[str, Field(description="The strategy that delivers it.")]
    uri: Annotated[str, Field(description="The folder in S3 that it comes from.")]
    files: Annotated[int | None, Field(description="The number of its files, where the catalog knows.")]
    bytes: Annotated[int | None, Field(description="The size of its files, where the catalog knows.")]
    digest: Annotated[str | None, Field(description="The sha256 of its manifest, where it has one.")]

    @classmethod
    def of(cls, asked: str, strategy: str, artifact: Artifact) -> Self:
        """The entry of an artifact that a pod gets by a strategy; `asked` is the version that it asks for."""
        return cls(
            artifact.model,
            asked,
            artifact.version,
            strategy,
            artifact.uri,
            artifact.files,
            artifact.bytes,
            artifact.digest,
        )


_decoder = msgspec.json.Decoder(tuple[InjectedModel, ...])


@lru_cache(maxsize=256)
def encode(models: tuple[InjectedModel, ...]) -> str:
    """The annotation's value."""
    return msgspec.json.encode(models).decode()


def decode(text: str) -> tuple[InjectedModel, ...]:
    """The models that the annotation lists. None, where its value is not one that this program writes."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ()
