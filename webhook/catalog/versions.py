"""Versions, their order, and references to them: exact versions, aliases, ranges, `latest`.

Versions are ordered as semantic versions, after normalization: `1.2` is 1.2.0, `7` is 7.0.0, `v1.2.3` is 1.2.3, and
`2026-05-01` is 2026.5.1. Other versions, such as `blue`, have no order and can only be requested exactly.

Ranges have npm's syntax; commas may replace blanks. As in npm, a range includes pre-releases of a version only if it
names a pre-release of that version on the same side of `||`. Unlike in npm, no side may be empty: it would mean every
version, and is more likely a value that a template has left out.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import merge
from itertools import groupby, islice
from typing import Final, TypeAlias

import msgspec

from webhook.fields.parsers import EXACT_VERSION

LATEST: Final = "latest"
ALIAS: Final = re.compile(r"(?!(?i:latest)$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_NUMBER: Final = r"(0|[1-9]\d{0,14})"
_SUFFIX: Final = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
_VERSION: Final = re.compile(rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}{_SUFFIX})?)?", re.ASCII)
_PART: Final = rf"({_NUMBER[1:-1]}|[xX*])"
_PARTIAL: Final = rf"v?{_PART}(?:\.{_PART}(?:\.{_PART}{_SUFFIX})?)?"
_COMPARATOR: Final = re.compile(rf"(\^|~>?|[<>]=?|=|){_PARTIAL}", re.ASCII)
_HYPHENS: Final = re.compile(r"(\S+) +- +(\S+)")
_DATE: Final = re.compile(r"(?<![\w.-])(\d{4})-(\d\d)-(\d\d)(?![\w.-])", re.ASCII)
MAX_CANDIDATES: Final = 20
"""The maximum number of versions that a range resolves to."""
_CACHE_SIZE: Final = 64
_HELP: Final = "a range is such as ^1.2, ~1.2, >=1.2,<2, 1.x or ^1.2 || ^2.0"
_RELEASE: Final[tuple[object, ...]] = (1,)

OrderKey: TypeAlias = tuple[int, int, int, tuple[object, ...]]
"""The sort key of a version: its numbers, then its pre-release, which sorts before the release."""


class ExactVersion(msgspec.Struct, frozen=True):
    """A reference to exactly this version."""

    version: str


class Alias(msgspec.Struct, frozen=True):
    """A reference by an alias, `@name`."""

    name: str


class Interval(msgspec.Struct, frozen=True):
    """The versions between two bounds. By default, all releases."""

    above: OrderKey = (0, 0, 0, ())
    below: OrderKey | None = None
    includes_above: bool = True
    includes_below: bool = False
    prereleases: frozenset[tuple[int, int, int]] = frozenset()
    """The numbers whose pre-releases are included."""

    @property
    def has_every_release(self) -> bool:
        """Whether it is as wide as `*`. npm ignores the pre-releases that are named on other sides of such a range."""
        starts_at_zero = self.above <= (0, 0, 0, _RELEASE) and self.includes_above
        return starts_at_zero and self.below is None and not self.prereleases


class VersionRange(msgspec.Struct, frozen=True):
    """A reference to the newest version in one of several intervals. `latest` is the range of all releases."""

    text: str
    intervals: tuple[Interval, ...] = (Interval(),)


Reference: TypeAlias = ExactVersion | Alias | VersionRange


class Versions:
    """The ordered versions of a model, the oldest first. Immutable."""

    __slots__ = ("_cache", "_keys", "names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Drops names without an order. Of names with the same key, such as 1.2 and 1.2.0, the longer is newer."""
        ordered = sorted((key, len(name), name) for name in names if (key := order(name)))
        self.names: Final = tuple(name for *_, name in ordered)
        self._keys: Final = tuple(key for key, *_ in ordered)
        self._cache: dict[tuple[str, frozenset[str]], tuple[str, ...]] = {}
        """The results of `within`, by the text of the range and the versions that it leaves out."""

    def has(self, name: str) -> bool:
        """Whether `name` is one of these versions."""
        key = order(name)
        if key is None:
            return False
        return name in self.names[bisect_left(self._keys, key) : bisect_right(self._keys, key)]

    def newest(self) -> Iterator[str]:
        """All versions, the newest first."""
        return reversed(self.names)

    def within(self, wanted: VersionRange, without: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The versions in a range, the newest first, but those in `without`. At most MAX_CANDIDATES."""
        key = (wanted.text, without)
        names = self._cache.get(key)
        if names is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            found = (name for name in self.all_within(wanted) if name not in without)
            names = self._cache[key] = tuple(islice(found, MAX_CANDIDATES))
        return names

    def all_within(self, wanted: VersionRange) -> Iterator[str]:
        """All versions in a range, the newest first."""
        newest_first = merge(*map(self._in_interval, wanted.intervals), reverse=True)
        return (self.names[index] for index, _ in groupby(newest_first))

    def _in_interval(self, wanted: Interval) -> Iterator[int]:
        """The indexes of the versions in an interval, the newest first."""
        find = bisect_left if wanted.includes_above else bisect_right
        start, end = find(self._keys, wanted.above), len(self._keys)
        if wanted.below is not None:
            find = bisect_right if wanted.includes_below else bisect_left
            end = find(self._keys, wanted.below)
        for index in range(end - 1, start - 1, -1):
            if self._keys[index][3] == _RELEASE or self._keys[index][:3] in wanted.prereleases:
                yield index


@lru_cache(maxsize=1024)
def parse_reference(text: str) -> Reference:
    """Parse a reference, such as the annotation `version`. Raises ValueError with what is allowed."""
    if EXACT_VERSION.fullmatch(text):
        return ExactVersion(text)
    if text.removeprefix("@").lower() == LATEST:
        return VersionRange(LATEST)
    if text.startswith("@"):
        if not ALIAS.fullmatch(text[1:]):
            raise ValueError("an alias is @ and letters, digits and ._-, such as @champion")
        return Alias(text[1:])
    intervals = tuple(map(_interval, text.split("||")))
    return VersionRange(text, next(((each,) for each in intervals if each.has_every_release), intervals))


def order(version: str) -> OrderKey | None:
    """The sort key of a version; None if it has no order."""
    match = _VERSION.fullmatch(_DATE.sub(_dotted, version))
    return (int(match[1]), int(match[2] or 0), int(match[3] or 0), _prerelease(match[4])) if match else None


def _prerelease(text: str | None) -> tuple[object, ...]:
    """The sort key of a pre-release: numeric identifiers before alphanumeric ones, as SemVer defines."""
    if not text:
        return _RELEASE
    return (0, *((0, int(part)) if part.isdigit() else (1, part) for part in text.split(".")))


def _interval(text: str) -> Interval:
    plain = re.sub(r"([<>=~^])\s+", r"\1", _DATE.sub(_dotted, text.replace(",", " "))).strip()
    hyphens = _HYPHENS.fullmatch(plain)
    comparators = [f">={hyphens[1]}", f"<={hyphens[2]}"] if hyphens else plain.split()
    if not comparators or (hyphens and not all(part[:1].isalnum() or part == "*" for part in hyphens.groups())):
        raise ValueError(_HELP)
    lower, prereleases = _LOWEST, set()
    upper: _Bound | None = None
    for comparator in comparators:
        match = _COMPARATOR.fullmatch(comparator)
        if not match:
            raise ValueError(_HELP)
        above, below = _bounds(match)
        if above:
            lower = max(lower, above)
        if below:
            upper = below if upper is None else min(upper, below)
        if match[5]:
            prereleases.add((int(match[2]), int(match[3]), int(match[4])))
    below_key, is_open = upper or (None, 0)
    return Interval(lower[0], below_key, not lower[1], bool(upper and is_open), frozenset(prereleases))


_Bound: TypeAlias = tuple[OrderKey, int]
"""A sort key, and a position: 0 just before the key, 1 just after it. As a lower bound, `>=` is 0 and `>` is 1."""
_LOWEST: Final[_Bound] = ((0, 0, 0, ()), 0)


def _bounds(match: re.Match[str]) -> tuple[_Bound | None, _Bound | None]:
    """The lower and the upper bound of one comparator."""
    operator = match[1]
    numbers = [int(part) for part in _numbers(match)]
    if not numbers:
        return (_LOWEST, _LOWEST) if operator in ("<", ">") else (None, None)
    major, minor, patch = (*numbers, 0, 0)[:3]
    start: OrderKey = (major, minor, patch, _prerelease(match[5]))
    if len(numbers) == 3:
        at_least, at_most, less_than = (start, 0), (start, 1), (start, 0)
    else:
        at_least, at_most, less_than = (start, 0), (_next(numbers), 0), ((major, minor, patch, ()), 0)
    bounds: dict[str, tuple[_Bound | None, _Bound | None]] = {
        ">=": (at_least, None),
        ">": ((start, 1) if len(numbers) == 3 else (_release_after(numbers), 0), None),
        "<": (None, less_than),
        "<=": (None, at_most),
        "^": (at_least, (_next(_significant(numbers)), 0)),
        "~": (at_least, (_next(numbers[:2]), 0)),
    }
    return bounds.get(operator.removesuffix(">") if operator == "~>" else operator, (at_least, at_most))


def _numbers(match: re.Match[str]) -> Iterator[str]:
    """The numbers of a comparator before the first wildcard."""
    for part in (match[2], match[3], match[4]):
        if part is None or part in "xX*":
            return
        yield part


def _significant(numbers: list[int]) -> list[int]:
    """The numbers that `^` keeps: up to the first that is not 0."""
    for length, number in enumerate(numbers, 1):
        if number:
            return numbers[:length]
    return numbers


def _next(numbers: list[int]) -> OrderKey:
    """The upper bound of all versions that begin with these numbers: before all pre-releases of 1.3.0, for 1.2."""
    return (*_release_after(numbers)[:3], ())


def _release_after(numbers: list[int]) -> OrderKey:
    """The first release after all versions that begin with these numbers: 1.3.0, for 1.2."""
    major, minor, patch = (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
    return major, minor, patch, _RELEASE


def _dotted(date: re.Match[str]) -> str:
    return ".".join(str(int(part)) for part in date.groups())
