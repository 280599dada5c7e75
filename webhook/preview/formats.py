"""The forms that a preview is answered in, by media type."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from webhook.preview.answer import PreviewResponse, answer, manifests
from webhook.preview.documents import Limits
from webhook.preview.errors import ManifestTooLarge
from webhook.preview.outcome import Outcome

FORMATS: Final[Mapping[str, Callable[[bytes, PreviewResponse, Limits], bytes]]] = {
    "application/json": lambda _, given, __: msgspec.json.encode(given),
    "application/yaml": lambda body, given, limits: manifests(body, given, limits).encode(),
    "text/plain": lambda _, given, __: given.diff.encode(),
}
"""The first one is for clients that take any."""


def content(media: str, body: bytes, outcomes: Sequence[Outcome], limits: Limits) -> bytes:
    """The preview of a manifest, of which each document has met its outcome, in a format. Raises ManifestTooLarge."""
    found = FORMATS[media](body, answer(body, outcomes, limits), limits)
    if len(found) > limits.answer:
        raise ManifestTooLarge(f"the answer has more than {limits.answer} bytes; preview a part of the manifest")
    return found
