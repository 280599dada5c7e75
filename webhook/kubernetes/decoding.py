"""Decoding JSON into typed objects."""

from typing import Final, TypeVar

import msgspec

from webhook.errors import InjectorError

_LONGEST: Final = 300
T = TypeVar("T")


class InvalidObject(InjectorError):
    """The JSON does not have the fields of its kind."""


def decoded(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, kind: str) -> T:
    """Decode a JSON document. Raises InvalidObject with the JSON path of a field of the wrong type."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        text = str(error)  # may quote a value of the document
        raise InvalidObject(f"not {kind}: {text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'}") from error
