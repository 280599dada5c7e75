"""The formats of a preview by their media types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from webhook.preview.answer import PreviewResponse, answer, manifests
from webhook.preview.errors import ManifestTooLarge
from webhook.preview.limits import Limits
from webhook.preview.outcome import Outcome

FORMATS: Final[Mapping[str, Callable[[bytes, PreviewResponse, Limits], bytes]]] = {
    "application/json": lambda _, response, __: msgspec.json.encode(response),
    "application/yaml": lambda body, response, limits: manifests(body, response, limits).encode(),
    "text/plain": lambda _, response, __: response.diff.encode(),
}
"""Encoders that take the manifest, its preview and the limits. The first is the default of content negotiation."""


def content(media: str, body: bytes, outcomes: Sequence[Outcome], limits: Limits) -> bytes:
    """The preview of a manifest, encoded in the format of a media type of FORMATS. Raises ManifestTooLarge."""
    encoded = FORMATS[media](body, answer(body, outcomes, limits), limits)
    if len(encoded) > limits.answer:
        raise ManifestTooLarge(f"the preview is larger than {limits.answer} bytes; preview a part of the manifest")
    return encoded
