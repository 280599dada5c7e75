"""Versions and what may be asked of them: exact ones, aliases, ranges, `latest`.

Semantic versions stand as they are. What else has an order is read as one: `1.2` as 1.2.0, `7` as 7.0.0, `v1.2.3` as
1.2.3, `2026-05-01` as 2026.5.1. Ranges are npm's, without its `||` and with commas for blanks where one likes: a
pre-release is in a range only where that names one of the same numbers. What has no order, such as `blue`, can be asked
for exactly.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from webhook.fields.parsers import EXACT_VERSION

LATEST: Final = "latest"
ALIAS: Final = re.compile(r"(?!latest$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_NUMBER: Final = r"(0|[1-9]\d{0,14})"
_SUFFIX: Final = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
_VERSION: Final = re.compile(rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}{_SUFFIX})?)?", re.ASCII)
_PART: Final = rf"({_NUMBER[1:-1]}|[xX*])"
_PARTIAL: Final = rf"v?{_PART}(?:\.{_PART}(?:\.{_PART}{_SUFFIX})?)?"
_COMPARATOR: Final = re.compile(rf"(\^|~>?|[<>]=?|=|){_PARTIAL}", re.ASCII)
_HYPHENS: Final = re.compile(r"(\S+) +- +(\S+)")
_DATE: Final = re.compile(r"(?<![\w.-])(\d{4})-(\d\d)-(\d\d)(?![\w.-])", re.ASCII)
MOST_FOUND: Final = 20
"""Versions of a range that are given."""
_MOST_REMEMBERED: Final = 64
_HELP: Final = "a range is such as ^1.2, ~1.2, >=1.2,<2 or 1.x"
_RELEASE: Final[tuple[object, ...]] = (1,)

OrderKey: TypeAlias = tuple[int, int, int, tuple[object, ...]]
"""Where a version stands: its numbers, then its pre-release, of which each comes before the release itself."""


class ExactVersion(msgspec.Struct, frozen=True):
    """This version and no other."""

    version: str


class Alias(msgspec.Struct, frozen=True):
    """The version that an alias of the model stands for."""

    name: str


class VersionRange(msgspec.Struct, frozen=True):
    """The newest version between two others; `latest` is the range of all that are no pre-release."""

    text: str
    above: OrderKey = (0, 0, 0, ())
    below: OrderKey | None = None
    includes_above: bool = True
    includes_below: bool = False
    prereleases: frozenset[tuple[int, int, int]] = frozenset()
    """The numbers of which pre-releases are in it, too."""


Reference: TypeAlias = ExactVersion | Alias | VersionRange


class Versions:
    """The versions of a model that have an order, the oldest first, each with its place. It never changes."""

    __slots__ = ("_found", "_keys", "names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Of two names with the same place, the longer is the newer. What has no order is left out."""
        placed = sorted((key, len(name), name) for name in names if (key := order(name)))
        self.names: Final = tuple(name for *_, name in placed)
        self._keys: Final = tuple(key for key, *_ in placed)
        self._found: dict[str, tuple[str, ...]] = {}
        """What ranges were found to hold, by their text."""

    def has(self, name: str) -> bool:
        """Whether a version with an order is among them."""
        key = order(name)
        if key is None:
            return False
        return name in self.names[bisect_left(self._keys, key) : bisect_right(self._keys, key)]

    def newest(self) -> Iterator[str]:
        """All of them, the newest first."""
        return reversed(self.names)

    def within(self, wanted: VersionRange) -> tuple[str, ...]:
        """The newest of those in a range, the newest first, at most MOST_FOUND of them."""
        found = self._found.get(wanted.text)
        if found is None:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            found = self._found[wanted.text] = tuple(islice(self._within(wanted), MOST_FOUND))
        return found

    def _within(self, wanted: VersionRange) -> Iterator[str]:
        find = bisect_left if wanted.includes_above else bisect_right
        start, end = find(self._keys, wanted.above), len(self._keys)
        if wanted.below is not None:
            find = bisect_right if wanted.includes_below else bisect_left
            end = find(self._keys, wanted.below)
        for index in range(end - 1, start - 1, -1):
            if self._keys[index][3] == _RELEASE or self._keys[index][:3] in wanted.prereleases:
                yield self.names[index]


@lru_cache(maxsize=1024)
def parse_reference(text: str) -> Reference:
    """What the annotation `version` asks for. Raises ValueError, saying what may stand there."""
    if EXACT_VERSION.fullmatch(text):
        return ExactVersion(text)
    if text.startswith("@"):
        if not ALIAS.fullmatch(text[1:]):
            raise ValueError("an alias is @ and letters, digits and ._-, such as @champion")
        return Alias(text[1:])
    return VersionRange(LATEST) if text == LATEST else _range(text)


def order(version: str) -> OrderKey | None:
    """Where a version stands among the others of its model; None where it has no order."""
    found = _VERSION.fullmatch(_DATE.sub(_dotted, version))
    return (int(found[1]), int(found[2] or 0), int(found[3] or 0), _prerelease(found[4])) if found else None


def _prerelease(text: str | None) -> tuple[object, ...]:
    """Its place among those of the same numbers: numbers before words, each in its own order."""
    if not text:
        return _RELEASE
    return (0, *((0, int(part)) if part.isdigit() else (1, part) for part in text.split(".")))


def _range(text: str) -> VersionRange:
    plain = re.sub(r"([<>=~^])\s+", r"\1", _DATE.sub(_dotted, text.replace(",", " "))).strip()
    hyphens = _HYPHENS.fullmatch(plain)
    comparators = [f">={hyphens[1]}", f"<={hyphens[2]}"] if hyphens else plain.split()
    if not comparators or (hyphens and not all(part[:1].isalnum() or part == "*" for part in hyphens.groups())):
        raise ValueError(_HELP)
    lower, prereleases = _LOWEST, set()
    upper: _Bound | None = None
    for comparator in comparators:
        found = _COMPARATOR.fullmatch(comparator)
        if not found:
            raise ValueError(_HELP)
        above, below = _bounds(found)
        if above:
            lower = max(lower, above)
        if below:
            upper = below if upper is None else min(upper, below)
        if found[5]:
            prereleases.add((int(found[2]), int(found[3]), int(found[4])))
    below_key, is_open = upper or (None, 0)
    return VersionRange(text, lower[0], below_key, not lower[1], bool(upper and is_open), frozenset(prereleases))


_Bound: TypeAlias = tuple[OrderKey, int]
"""A key, and 1 where that belongs to what is below it: a lower bound is `>=` with 0 and `>` with 1."""
_LOWEST: Final[_Bound] = ((0, 0, 0, ()), 0)


def _bounds(found: re.Match[str]) -> tuple[_Bound | None, _Bound | None]:
    """The lower and the upper bound of one comparator."""
    operator = found[1]
    numbers = [int(part) for part in _numbers(found)]
    if not numbers:
        return (_LOWEST, _LOWEST) if operator in ("<", ">") else (None, None)
    major, minor, patch = (*numbers, 0, 0)[:3]
    start: OrderKey = (major, minor, patch, _prerelease(found[5]))
    if len(numbers) == 3:
        from_here, behind, until = (start, 0), (start, 1), (start, 0)
    else:
        from_here, behind, until = (start, 0), (_next(numbers), 0), ((major, minor, patch, ()), 0)
    bounds: dict[str, tuple[_Bound | None, _Bound | None]] = {
        ">=": (from_here, None),
        ">": ((start, 1) if len(numbers) == 3 else (_release_after(numbers), 0), None),
        "<": (None, until),
        "<=": (None, behind),
        "^": (from_here, (_next(_first_that_counts(numbers)), 0)),
        "~": (from_here, (_next(numbers[:2]), 0)),
    }
    return bounds.get(operator.removesuffix(">") if operator == "~>" else operator, (from_here, behind))


def _numbers(found: re.Match[str]) -> Iterator[str]:
    """The numbers of a comparator, up to the first that may be any."""
    for part in (found[2], found[3], found[4]):
        if part is None or part in "xX*":
            return
        yield part


def _first_that_counts(numbers: list[int]) -> list[int]:
    """What `^` keeps: up to the first number that is not 0."""
    for length, number in enumerate(numbers, 1):
        if number:
            return numbers[:length]
    return numbers


def _next(numbers: list[int]) -> OrderKey:
    """Below all, pre-releases among them, of what comes after these numbers: 1.3.0 for 1.2."""
    return (*_release_after(numbers)[:3], ())


def _release_after(numbers: list[int]) -> OrderKey:
    """The release after all that begin with these numbers."""
    major, minor, patch = (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
    return major, minor, patch, _RELEASE


def _dotted(date: re.Match[str]) -> str:
    return ".".join(str(int(part)) for part in date.groups())
