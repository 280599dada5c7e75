"""The kinds of values that annotations hold: functions from text, which raise ValueError."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from webhook.kubernetes.quantities import parse_duration, parse_quantity

_LONGEST_SECONDS: Final = 7 * 24 * 3600


def matching(pattern: str, longest: int) -> Callable[[str], str]:
    """Text of at most so many characters that a regular expression matches whole."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if len(text) > longest or not compiled.fullmatch(text):
            raise ValueError(text)
        return text

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def boolean(text: str) -> bool:
    """`true` or `false`."""
    return one_of("true", "false")(text) == "true"


def duration(text: str) -> int:
    """The seconds of a duration of at most a week."""
    seconds = parse_duration(text)
    if seconds > _LONGEST_SECONDS:
        raise ValueError(text)
    return seconds


def size(text: str) -> Decimal:
    """The number of a quantity that is more than nothing."""
    value = parse_quantity(text)
    if value <= 0:
        raise ValueError(text)
    return value


def quantity(text: str) -> str:
    """A quantity that is more than nothing, as it is spelt."""
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
"""A version that says which one it is, unlike an alias, a range or `latest`."""

_absolute = matching(r"(/[A-Za-z0-9._@%+=,-]+)+", 512)


def folder(text: str) -> str:
    """An absolute path, without `.`, `..` or `//`, of signs that neither a shell nor kubelet reads anything into."""
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise ValueError(text)
    return _absolute(text.removesuffix("/"))


def labels(text: str) -> tuple[str, ...]:
    """DNS labels with commas between, each once."""
    return tuple(dict.fromkeys(label(name.strip()) for name in text.split(",")))
