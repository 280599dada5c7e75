"""The annotation `injected` on a pod: a JSON list of the models that the pod got. Audit annotations hold the same."""

from functools import lru_cache
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from webhook.model.artifact import Artifact


class InjectedModel(msgspec.Struct, frozen=True):
    """One model: what was asked for, and what the pod got."""

    model: str
    asked: Annotated[str, Meta(description="The version as it was asked for.")]
    version: Annotated[str, Meta(description="The exact version.")]
    strategy: Annotated[str, Meta(description="The strategy that delivers it.")]
    uri: Annotated[str, Meta(description="The folder in S3 that it comes from.")]
    files: Annotated[int | None, Meta(description="The number of its files, where the catalog knows.")]
    bytes: Annotated[int | None, Meta(description="The size of its files, where the catalog knows.")]
    digest: Annotated[str | None, Meta(description="The sha256 of its manifest, where it has one.")]

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
