"""Parses JSON texts, as kubectl accepts them."""

import json
import math
import re
from typing import Any, Final

_SPACE: Final = re.compile(r"\s*")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def json_values(text: str) -> list[Any] | None:
    """The values of a sequence of JSON texts. None if the text is not JSON, or has values that JSON cannot represent:
    numbers that are not finite, and halves of surrogate pairs.
    """
    values, position = list[Any](), _after_space(text, 0)
    try:
        while position < len(text):
            value, position = _DECODER.raw_decode(text, position)
            values.append(value)
            position = _after_space(text, position)
        if _SURROGATE.search(text):
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return values


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
