"""Versions and what may be asked of them: exact ones, aliases, ranges, `latest`.

Semantic versions stand as they are. What else has an order is read as one: `1.2` as 1.2.0, `7` as 7.0.0, `v1.2.3` as
1.2.3, `2026-05-01` as 2026.5.1. Ranges are npm's, with commas for blanks where one likes: a pre-release is in a range
only where that names one of the same numbers. What has no order, such as `blue`, can be asked for exactly.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec
from semantic_version import NpmSpec, Version

from webhook.values import EXACT_VERSION

LATEST: Final = "latest"
ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_SEMANTIC: Final = re.compile(
    r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII
)
_DATE: Final = re.compile(r"(?<![\d.])(\d{4})-(\d{1,2})-(\d{1,2})(?![\d.])", re.ASCII)
_LONGEST: Final = 128
_RANGES: Final = "a range is such as ^1.2, ~1.2, >=1.2,<2 or 1.x"


class Exact(msgspec.Struct, frozen=True):
    """This version and no other."""

    version: str


class Alias(msgspec.Struct, frozen=True):
    """The version that an alias of the model stands for."""

    name: str


class Range(msgspec.Struct, frozen=True):
    """The newest version of a range; `latest` is the range of all that are no pre-release."""

    text: str


Reference: TypeAlias = Exact | Alias | Range


@lru_cache(maxsize=1024)
def parse_reference(text: str) -> Reference:
    """What the annotation `version` asks for. Raises ValueError, saying what may stand there."""
    if EXACT_VERSION.fullmatch(text):
        return Exact(text)
    if text.startswith("@"):
        if not ALIAS.fullmatch(text[1:]):
            raise ValueError("an alias is @ and letters, digits and ._-, such as @champion")
        return Alias(text[1:])
    _matcher(text)
    return Range(text)


@lru_cache(maxsize=16384)
def order(version: str) -> Version | None:
    """Where a version stands among the others of its model; None where it has no order."""
    if len(version) > _LONGEST:
        return None
    found = _SEMANTIC.fullmatch(_DATE.sub(_dotted, version))
    if not found:
        return None
    major, minor, patch, before, build = found.groups(default="")
    try:
        return Version(f"{int(major)}.{int(minor or 0)}.{int(patch or 0)}{before}{build}")
    except ValueError:  # such as a pre-release of which a number begins with 0
        return None


def newest(versions: Iterable[str]) -> list[str]:
    """Those that have an order, the newest first; of two with the same place, the longer name first."""
    placed = [(place, version) for version in versions if (place := order(version))]
    placed.sort(key=lambda each: (each[0].precedence_key, len(each[1]), each[1]), reverse=True)
    return [version for _, version in placed]


def matches(reference: Range, version: str) -> bool:
    """Whether a version that has an order is in the range."""
    place = order(version)
    return place is not None and _matcher(reference.text)(place)


def is_prerelease(version: str) -> bool:
    """Whether it is one that nobody gets without asking."""
    place = order(version)
    return place is not None and bool(place.prerelease)


@lru_cache(maxsize=1024)
def _matcher(text: str) -> Callable[[Version], bool]:
    if text == LATEST:
        return _is_release
    plain = _DATE.sub(_dotted, text)
    plain = re.sub(r"([<>=~^])\s+", r"\1", re.sub(r"\s*,\s*", " ", plain)).strip()
    if not plain or "|" in plain:  # to npm, nothing and an empty alternative mean everything
        raise ValueError(_RANGES)
    try:
        match: Callable[[Version], bool] = NpmSpec(plain).match
    except ValueError as error:
        raise ValueError(_RANGES) from error
    return match


def _is_release(version: Version) -> bool:
    return not version.prerelease


def _dotted(date: re.Match[str]) -> str:
    return ".".join(str(int(part)) for part in date.groups())
