"""Signatures of requests between peers, by a key that all of them share.

The key is never sent, and a signature holds for one method, path and range, for a minute.
"""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from webhook.errors import InvalidInput

HEADER: Final = "X-Model-Injector-Peer"
_SKEW_SECONDS: Final = 60
_SHORTEST_KEY: Final = 32


def read_key(file: str) -> bytes:
    """The shared key. Raises InvalidInput."""
    try:
        key = Path(file).read_bytes().strip()
    except OSError as error:
        raise InvalidInput(f"the key of the peers, {file}, cannot be read: {error.strerror}") from error
    if len(key) < _SHORTEST_KEY:
        raise InvalidInput(f"the key of the peers, {file}, has less than {_SHORTEST_KEY} bytes")
    return key


def sign(key: bytes, method: str, target: str, span: str, now: float) -> str:
    """The header of a request for a path and range."""
    at = str(int(now))
    return f"{at} {_digest(key, method, target, span, at)}"


def is_signed(key: bytes, header: str, method: str, target: str, span: str, now: float) -> bool:  # noqa: PLR0913, PLR0917
    """Whether a header is that of this request, and not old."""
    at, _, given = header.partition(" ")
    if not at.isascii() or not at.isdigit() or len(at) > 12 or abs(now - int(at)) > _SKEW_SECONDS:
        return False
    return hmac.compare_digest(given.encode(), _digest(key, method, target, span, at).encode())


def _digest(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()
