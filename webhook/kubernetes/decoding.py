"""Decoding JSON into typed objects."""

from typing import TypeVar

import msgspec

from webhook.errors import InjectorError

T = TypeVar("T")


class InvalidObject(InjectorError):
    """The JSON does not have the fields of its kind."""


def decoded(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, kind: str) -> T:
    """Decode a JSON document. Raises InvalidObject with the JSON path of a field of the wrong type."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidObject(f"not {kind}: {error}") from error
