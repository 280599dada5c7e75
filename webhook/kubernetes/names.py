"""Names of Kubernetes objects and label values that are derived from longer or freer text."""

import hashlib
import re
from typing import Final

LONGEST: Final = 63
"""The maximum length of a label value. Names have the same, so that a name can be a label value."""
_HASH: Final = 8
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


def short_hash(text: str) -> str:
    """The first 8 hex digits of the text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]


def object_name(text: str, identity: str) -> str:
    """A DNS subdomain of at most 63 characters: the readable part of `text`, and a hash of `identity`.

    Two identities have the same name only if the hashes of the same text are equal.
    """
    readable = re.sub(r"[^a-z0-9.]+", "-", text.lower())
    readable = re.sub(r"-*\.[.-]*", ".", readable)[: LONGEST - _HASH - 1].strip(".-")
    return "-".join(filter(None, (readable, short_hash(identity))))


def label_value(text: str) -> str:
    """The text, if it is a label value. Else its readable part with a hash of the text."""
    if len(text) <= LONGEST and _LABEL_VALUE.fullmatch(text):
        return text
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[: LONGEST - _HASH - 1].strip("._-")
    return "-".join(filter(None, (readable, short_hash(text))))
