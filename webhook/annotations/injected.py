"""The annotation `injected` of a pod: a JSON list of its models. Audit annotations have the same value."""

from functools import lru_cache
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from webhook.model.artifact import Artifact


class InjectedModel(msgspec.Struct, frozen=True, cache_hash=True):
    """One model of a pod: what was asked for, and what was injected."""

    model: str
    asked: Annotated[str, Meta(description="The version as it was asked for.")]
    version: Annotated[str, Meta(description="The exact version.")]
    strategy: Annotated[str, Meta(description="The strategy that delivers it.")]
    uri: Annotated[str, Meta(description="The model's folder in S3.")]
    files: Annotated[int | None, Meta(description="The number of its files, if the catalog knows it.")]
    bytes: Annotated[int | None, Meta(description="The size of its files in bytes, if the catalog knows it.")]
    digest: Annotated[str | None, Meta(description="The sha256 of its manifest, if it has one.")]

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
