"""The annotation `injected` of a pod: a JSON list of its models. Audit annotations have the same value."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Self

import msgspec
from pydantic import Field

from webhook.model.artifact import Artifact


@dataclass(frozen=True, slots=True)
class InjectedModel:
    """One model of a pod: what was asked for, and what was injected."""

    model: str
    asked: Annotated[str, Field(description="The version as it was asked for.")]
    version: Annotated[str, Field(description="The exact version.")]
    strategy: Annotated[str, Field(description="The strategy that delivers it.")]
    uri: Annotated[str, Field(description="The model's folder in S3.")]
    files: Annotated[int | None, Field(description="The number of its files, if the catalog knows it.")]
    bytes: Annotated[int | None, Field(description="The size of its files in bytes, if the catalog knows it.")]
    digest: Annotated[str | None, Field(description="The sha256 of its manifest, if it has one.")]

    @classmethod
    def of(cls, asked: str, strategy: str, artifact: Artifact) -> Self:
        """The entry of an artifact. `asked` is the version as it was asked for."""
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
    """The value of the annotation."""
    return msgspec.json.encode(models).decode()


def decode(text: str) -> tuple[InjectedModel, ...]:
    """The models in the annotation's value. Empty if the value is invalid."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ()
