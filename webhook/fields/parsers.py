"""Parsers of annotations' values. Each takes text and raises ValueError."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from webhook.kubernetes.quantities import parse_duration, parse_quantity

_LONGEST_SECONDS: Final = 7 * 24 * 3600


def matching(pattern: str, longest: int) -> Callable[[str], str]:
    """A parser of text that matches `pattern` completely and has at most `longest` characters."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if len(text) > longest or not compiled.fullmatch(text):
            raise ValueError(text)
        return text

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser of text that is one of `choices`."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def boolean(text: str) -> bool:
    """`true` or `false`."""
    return one_of("true", "false")(text) == "true"


def duration(text: str) -> int:
    """A duration of at most a week, in seconds."""
    seconds = parse_duration(text)
    if seconds > _LONGEST_SECONDS:
        raise ValueError(text)
    return seconds


def size(text: str) -> Decimal:
    """The value of a quantity greater than zero."""
    value = parse_quantity(text)
    if value <= 0:
        raise ValueError(text)
    return value


def quantity(text: str) -> str:
    """The text of a quantity greater than zero."""
    size(text)
    return text


LABEL: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
LABEL_LENGTH: Final = 63
label = matching(LABEL, LABEL_LENGTH)
"""A DNS label: the name of a container or a volume."""

SUBDOMAIN: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
subdomain = matching(SUBDOMAIN, 253)
"""A DNS subdomain: the name of a service account."""

EXACT_VERSION: Final = re.compile(r"(?!latest$|v?\d+(\.\d+)?\.[xX](\.[xX])?$)[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
"""An exact version, as opposed to an alias, a range or `latest`."""

_absolute = matching(r"(/[A-Za-z0-9._@%+=,-]+)+", 512)


def folder(text: str) -> str:
    """An absolute path without `.`, `..` or `//`, of characters without a meaning to a shell or the kubelet."""
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise ValueError(text)
    return _absolute(text.removesuffix("/"))


def labels(text: str) -> tuple[str, ...]:
    """Comma-separated DNS labels, without duplicates."""
    return tuple(dict.fromkeys(label(name.strip()) for name in text.split(",")))
