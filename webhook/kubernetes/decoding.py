"""From JSON to typed objects."""

from typing import TypeVar

import msgspec

from webhook.errors import InjectorError

T = TypeVar("T")


class InvalidObject(InjectorError):
    """JSON that does not have the fields that its kind has."""


def decoded(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, kind: str) -> T:
    """The object in a JSON document. Raises InvalidObject with the JSON path of a field whose type is wrong."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidObject(f"not {kind}: {error}") from error
