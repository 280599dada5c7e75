"""Parsers of annotations' values. Each takes text and raises ValueError."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from webhook.kubernetes.quantities import parse_duration, parse_quantity

_LONGEST_SECONDS: Final = 7 * 24 * 3600


class WrittenOtherwise(ValueError):
    """The text belongs into other annotations. `problem` says what it is, `instead` what to write, by their names."""

    def __init__(self, problem: str, instead: Mapping[str, str]) -> None:
        super().__init__(problem)
        self.problem, self.instead = problem, instead


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

REFERENCE: Final = r"[A-Za-z0-9@^~<>=!*][A-Za-z0-9._+,<>=!^~ *|-]*"
"""The characters of a reference to a version. Its syntax is checked when the catalog resolves it."""

EXACT_VERSION: Final = re.compile(
    r"(?!(?i:latest)$|v?\d+(\.\d+)?\.[xX](\.[xX])?$)[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII
)
"""An exact version, as opposed to an alias, a range or `latest`."""

_HOST: Final = r"(?=[^/]*[.:]|localhost/)[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"
"""Without a dot, a port or `localhost`, container runtimes would take it for a name at Docker Hub."""
_PART: Final = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
IMAGE_REPOSITORY: Final = rf"{_HOST}(/{_PART})+"
"""A registry and the name of a repository in it: `registry.example.com/models/my-model`."""

_absolute = matching(r"(/[A-Za-z0-9._@%+=,-]+)+", 512)


def folder(text: str) -> str:
    """An absolute path without `.`, `..` or `//`, of characters without a meaning to a shell or the kubelet."""
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise ValueError(text)
    return _absolute(text.removesuffix("/"))


def labels(text: str) -> tuple[str, ...]:
    """Comma-separated DNS labels, without duplicates."""
    return tuple(dict.fromkeys(label(name.strip()) for name in text.split(",")))


ENV_PREFIX: Final = r"[A-Za-z_][A-Za-z0-9_]*"
NO_ENV: Final = "none"
_env_prefix = matching(ENV_PREFIX, 128)
_SWITCHES: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null"})


def env_prefix(text: str) -> str:
    """The first part of environment variables' names, without `_` at its end; empty for `none`."""
    prefix = _env_prefix(text).rstrip("_")
    if not prefix or prefix.lower() in _SWITCHES:  # `false` is a valid name, but hardly meant as one
        raise ValueError(text)
    return "" if prefix.lower() == NO_ENV else prefix
