"""The JSON of an image: its configuration, its manifest for each platform, and the index of these."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_PLATFORMS: Final = ({"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux"})
"""The files suit every processor, but containerd unpacks only images of the node's own platform."""


class Blob(msgspec.Struct, frozen=True):
    """A blob: its digest, such as `sha256:…`, and its size in bytes."""

    digest: str
    size: int


class Document(msgspec.Struct, frozen=True):
    """A small blob with its content."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """Its digest."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


class Image(msgspec.Struct, frozen=True):
    """All documents of an image. Each refers to those before it."""

    configs: tuple[Document, ...]
    manifests: tuple[Document, ...]
    index: Document


def image(layers: Sequence[Blob], created: str, annotations: Mapping[str, str]) -> Image:
    """The image of these layers. `created` is a time as in RFC 3339, or empty."""
    descriptors = [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in layers]
    root = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}  # uncompressed, so the digests are equal
    times = {"created": created} if created else {}
    configs = tuple(_document(_CONFIG, {**times, **platform, "config": {}, "rootfs": root}) for platform in _PLATFORMS)
    manifests = tuple(
        _document(
            MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(config),
                "layers": descriptors,
                "annotations": annotations,
            },
        )
        for config in configs
    )
    listed = [
        {**descriptor(manifest), "platform": platform} for manifest, platform in zip(manifests, _PLATFORMS, strict=True)
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed, "annotations": annotations}
    return Image(configs, manifests, _document(INDEX, index))


def descriptor(document: Document) -> dict[str, object]:
    """What refers to a document."""
    return {"mediaType": document.media_type, "digest": document.digest, "size": len(document.content)}


def _document(media_type: str, value: object) -> Document:
    return Document(media_type, msgspec.json.encode(value, order="deterministic"))
