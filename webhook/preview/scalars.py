"""Parses YAML scalars as kubectl does: by YAML 1.1, with Go's number syntax, and with dates as text.

kubectl parses every manifest with `sigs.k8s.io/yaml`. A preview has to give each scalar the same type, or it would
differ from the object in the cluster.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from webhook.preview.errors import InvalidManifest

TAG: Final = "tag:yaml.org,2002:"
_LONGEST_NUMBER: Final = 400
"""Characters. The largest finite 64-bit float needs fewer; longer scalars are text."""
_BOOLEANS: Final[Mapping[str, bool]] = {
    spelling: value
    for value, words in ((True, ("y", "yes", "on", "true")), (False, ("n", "no", "off", "false")))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
_NULL: Final = re.compile("^(?:~|null|Null|NULL|)$")
_INTEGER: Final = re.compile("^[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[1-9][0-9_]*|0)$")
_FLOAT: Final = re.compile(r"^[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$")
_NO_NUMBER: Final = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")


class Loader(yaml.CSafeLoader):
    """Composes nodes whose tags are the types that kubectl gives them."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - declared by PyYAML


_NUMBER_START: Final = "-+.0123456789"
for _kind, _pattern, _first in (
    ("bool", re.compile(f"^(?:{'|'.join(_BOOLEANS)})$"), "yYnNtTfFoO"),
    ("null", _NULL, ["~", "n", "N", ""]),
    ("merge", re.compile("^<<$"), "<"),
    ("int", _INTEGER, _NUMBER_START),
    ("float", _FLOAT, _NUMBER_START),
    ("float", _NO_NUMBER, _NUMBER_START),
):
    Loader.add_implicit_resolver(f"{TAG}{_kind}", _pattern, list(_first))


def scalar(node: yaml.ScalarNode) -> Any:
    """The value of a scalar: text, a number, a boolean or None.

    Raises InvalidManifest, with the line, for a value that JSON cannot represent.
    """
    kind, text = node.tag.removeprefix(TAG), node.value
    if kind in ("str", "merge", "timestamp"):
        return text
    if kind == "null":
        return None
    if kind == "bool" and text in _BOOLEANS:
        return _BOOLEANS[text]
    if kind in ("int", "float") and (_INTEGER.match(text) or _FLOAT.match(text)):
        return _number(text)
    raise InvalidManifest(f"line {line(node)}: JSON cannot represent {kind} {text[:80]!r}; quote it if it is text")


def _number(text: str) -> int | float | str:
    plain = text.replace("_", "")
    if len(plain) > _LONGEST_NUMBER:
        return text
    if _INTEGER.match(plain):
        value = _integer(plain)
        if -(2**63) <= value < 2**64:
            return value
    if not _FLOAT.match(plain):
        return text
    number = float(plain)
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _integer(plain: str) -> int:
    sign, digits = (-1 if plain[0] == "-" else 1), plain.lstrip("+-")
    is_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    return sign * int(digits, 8 if is_octal else 0)


def scalar_key(node: yaml.Node) -> str:
    """The key of a mapping as text. Raises InvalidManifest if it is not a scalar."""
    if not isinstance(node, yaml.ScalarNode) or node.tag == f"{TAG}null":
        advice = (
            "; fill in the template first" if isinstance(node, yaml.MappingNode) else ""
        )  # as in {{ .Values.name }}
        raise InvalidManifest(f"line {line(node)}: a key is not text; write text{advice}")
    value = scalar(node)
    return value if isinstance(value, str) else json.dumps(value)


def line(part: yaml.Event | yaml.Node) -> int:
    """The line, from 1, in which an event or a node starts; 0 if PyYAML has not recorded it."""
    return part.start_mark.line + 1 if part.start_mark else 0
