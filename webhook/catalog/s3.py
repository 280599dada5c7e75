"""The catalog of S3 buckets (`catalog.mode: s3`): what is known is in memory, and answers from there.

Its methods are of two kinds. `resolve`, `take`, `fail` and `remember` touch memory alone, and belong to one thread.
`read` and `look` touch S3 alone: they block, may run in any thread, and change nothing here.
"""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final

import msgspec

from webhook.catalog import Artifact, Place, Resolved, Unread
from webhook.catalog.detail import Detail, inspect
from webhook.catalog.faults import fault, unknown
from webhook.catalog.names import Names, read_names
from webhook.catalog.store import Store
from webhook.catalog.versions import Alias, Exact, Range, Reference, matches, parse_reference
from webhook.errors import CatalogError, Denied, UnknownModel, UnknownVersion, shown
from webhook.request import ModelRequest
from webhook.settings import Settings, Source

_MOST_DETAILS: Final = 20_000
_MOST_PASSING: Final = 4_000
_MOST_CHOICES: Final = 10_000
_MOST_TRIED: Final = 20
"""Versions of a range, the newest first, of which one has to be published."""
_PASSING_SECONDS: Final = 5
"""How long it is remembered that something is not there, or that S3 did not say."""
_STEADY_SECONDS: Final = 3600
"""How long what can't change is trusted to be neither archived nor damaged."""
_PASSING: Final = frozenset({"absent", "unfinished", "denied", "away"})


class _Known:
    __slots__ = ("at", "detail", "is_used")

    def __init__(self, detail: Detail, at: float) -> None:
        self.detail, self.at = detail, at
        self.is_used = False
        """Since it was last looked at."""


class _Shelf:
    """What is known of one source."""

    def __init__(self, source: Source, store: Store) -> None:
        self.source, self.store = source, store
        self.names: Names | None = None
        self.read_at: float | None = None
        self.problem = ""
        self.is_listed = False
        """Whether the last listing went well."""
        self.away_until = 0.0
        self.choices: dict[tuple[str, str], tuple[str, ...]] = {}
        """Versions in a range, by model and the range's text: until the names change."""


class SourceStatus(msgspec.Struct, frozen=True):
    """What is known of one source, in numbers."""

    models: int
    versions: int
    age: float | None
    """Seconds since it was listed; None where it never was."""
    is_listed: bool
    """Whether the last listing went well."""
    problem: str
    """Why the last listing failed, or what it left out; else empty."""


class S3Catalog:
    """Versions in buckets, by name from listings, and in detail once they are asked for."""

    def __init__(self, settings: Settings, *, seconds: float = 10, attempts: int = 3) -> None:
        """`seconds` and `attempts` as a Store has them."""
        self._options = settings.catalog
        self._shelves = {
            name: _Shelf(source, Store(source, seconds=seconds, attempts=attempts))
            for name, source in settings.all_sources.items()
        }
        self._details: dict[Place, _Known] = {}
        self._passing: dict[Place, _Known] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources."""
        return tuple(self._shelves)

    def read(self, source: str) -> Names:
        """List a source. Blocks; raises CatalogError."""
        shelf = self._shelves[source]
        return read_names(shelf.store, shelf.names)

    def look(self, place: Place) -> Detail:
        """Look at one version. Blocks; raises nothing, for that S3 does not say is an answer, too."""
        shelf = self._shelves[place.source]
        folder = shelf.source.layout.format(model=place.model, version=place.version)
        try:
            return inspect(shelf.store, folder, self._options.required_tag)
        except Denied as error:
            return Detail("denied", why=str(error))
        except CatalogError as error:
            return Detail("away", why=str(error))

    def take(self, source: str, names: Names) -> None:
        """Answer with these names from now on."""
        shelf = self._shelves[source]
        if shelf.names is None or shelf.names.models != names.models:
            shelf.choices.clear()
        shelf.names, shelf.read_at, shelf.is_listed, shelf.away_until = names, monotonic(), True, 0.0
        shelf.problem = "; ".join(names.problems)
        self._passing = {place: known for place, known in self._passing.items() if place.source != source}

    def fail(self, source: str, problem: str) -> None:
        """The source can't be listed: go on with what is known."""
        shelf = self._shelves[source]
        shelf.problem, shelf.is_listed = problem, False
        self.spare(source)

    def spare(self, source: str) -> None:
        """The source does not answer: ask it nothing for some seconds, for pods would wait for that."""
        self._shelves[source].away_until = monotonic() + _PASSING_SECONDS

    def remember(self, place: Place, detail: Detail) -> None:
        """Answer with this detail from now on; with what passes for some seconds, and only where nothing is known."""
        now = monotonic()
        if detail.state in ("away", "denied") and place in self._details:
            self._details[place].at = now
        elif detail.state in _PASSING:
            self._details.pop(place, None)
            _put(self._passing, place, _Known(detail, now), _MOST_PASSING)
        else:
            self._passing.pop(place, None)
            _put(self._details, place, _Known(detail, now), _MOST_DETAILS)

    def due(self, source: str, most: int) -> Iterator[Place]:
        """Versions to look at again, the longest waiting first: those in use of which something may have changed."""
        now = monotonic()
        waiting = sorted(
            (known.at, place.source, place.model, place.version, place)
            for place, known in self._details.items()
            if place.source == source
            and known.is_used
            and now - known.at >= (0 if self._may_change(known.detail) else _STEADY_SECONDS)
        )
        for *_, place in waiting[:most]:
            yield place

    def status(self, source: str) -> SourceStatus:
        """What is known of a source, in numbers."""
        shelf = self._shelves[source]
        names = shelf.names or Names()
        age = None if shelf.read_at is None else monotonic() - shelf.read_at
        return SourceStatus(len(names.models), names.versions, age, shelf.is_listed, shelf.problem)

    def names(self, source: str) -> Names | None:
        """What the last listing of a source gave; None before the first."""
        return self._shelves[source].names

    def store(self, source: str) -> Store:
        """The bucket behind a source."""
        return self._shelves[source].store

    def resolve(self, request: ModelRequest) -> Resolved:
        """The artifact that `request` asks for.

        Raises UnknownModel, always where there is none, and where it is not fit and preflight is enforced. Raises
        Unread where that depends on a version that has not been looked at.
        """
        shelf = self._shelves[request.source]
        match _reference(request):
            case Exact(version=version):
                return self._answer(shelf, Place(request.source, request.model, version), ())
            case Alias(name=name):
                version = _alias(shelf, request, name)
                return self._answer(shelf, Place(request.source, request.model, version), _stale(shelf))
            case Range() as reference:
                return self._newest(shelf, request, reference)

    def _newest(self, shelf: _Shelf, request: ModelRequest, reference: Range) -> Resolved:
        choices = _choices(shelf, request.model, reference)
        for version in choices[:_MOST_TRIED]:
            place = Place(request.source, request.model, version)
            detail = self._detail(shelf, place)
            if not (detail.state in ("absent", "unfinished") or self._lacks_tag(detail)):
                return self._answer(shelf, place, _stale(shelf))
        known = (shelf.names or Names()).models.get(request.model)
        if known is None:
            raise unknown(shelf.names, Place(request.source, request.model, ""), shelf.problem)
        if choices:
            raise UnknownVersion(
                f"{request.model}: of the versions in {shown(request.version)} none is published, such as {choices[0]}"
            )
        hint = " (pre-releases only where they are named)" if reference.text == "latest" else ""
        raise UnknownVersion(
            f"{request.model} has no version in {shown(request.version)}{hint}; the newest are {', '.join(known[:3])}"
        )

    def _answer(self, shelf: _Shelf, place: Place, warnings: tuple[str, ...]) -> Resolved:
        detail = self._detail(shelf, place)
        if detail.state == "away":
            warnings = (*warnings, f"{place.model} {place.version} is not checked: S3 could not be asked")
        elif self._options.preflight != "off" and (
            problem := fault(shelf.names, place, detail, self._options.required_tag)
        ):
            if self._options.preflight == "enforce":
                raise problem
            warnings = (*warnings, str(problem))
        artifact = Artifact(
            place.model,
            place.version,
            shelf.source,
            detail.files,
            detail.size,
            detail.digest,
            detail.objects,
            detail.object_bytes,
        )
        return Resolved(artifact, warnings)

    def _detail(self, shelf: _Shelf, place: Place) -> Detail:
        """What is known of a version. Raises Unread where a look could tell more."""
        if known := self._details.get(place):
            known.is_used = True
            return known.detail
        now = monotonic()
        if (known := self._passing.get(place)) and now - known.at < _PASSING_SECONDS:
            return known.detail
        if now < shelf.away_until:
            return Detail("away", why=shelf.problem)
        raise Unread([place])

    def _lacks_tag(self, detail: Detail) -> bool:
        return self._options.preflight != "off" and not detail.is_tagged

    def _may_change(self, detail: Detail) -> bool:
        return bool(detail.state == "unmanaged" or self._options.required_tag or detail.archived or detail.wrong)


def _put(known: dict[Place, _Known], place: Place, value: _Known, most: int) -> None:
    """Remember as the newest, and forget the oldest where there are too many."""
    known.pop(place, None)
    known[place] = value
    if len(known) > most:
        del known[next(iter(known))]


def _reference(request: ModelRequest) -> Reference:
    if request.pinned:
        return Exact(request.pinned)
    try:
        return parse_reference(request.version)
    except ValueError as error:
        raise UnknownVersion(f"{request.model}: version {shown(request.version)} is no version: {error}") from error


def _alias(shelf: _Shelf, request: ModelRequest, name: str) -> str:
    if shelf.names is None:
        raise _unread(shelf, request)
    aliases = shelf.names.aliases.get(request.model)
    version = aliases and aliases.versions.get(name)
    if version:
        return version
    if aliases is None and request.model not in shelf.names.models:
        raise unknown(shelf.names, Place(request.source, request.model, ""), shelf.problem)
    known = ", ".join(f"@{each}" for each in list(aliases.versions)[:5]) if aliases else ""
    raise UnknownVersion(f"{request.model} has no alias @{name}" + (f"; it has {known}" if known else ", and no other"))


def _choices(shelf: _Shelf, model: str, reference: Range) -> Sequence[str]:
    if shelf.names is None:
        raise UnknownModel(_not_listed(shelf, model, reference.text))
    key = (model, reference.text)
    if key not in shelf.choices:
        if len(shelf.choices) >= _MOST_CHOICES:
            shelf.choices.clear()
        versions = shelf.names.models.get(model, ())
        shelf.choices[key] = tuple(version for version in versions if matches(reference, version))[:_MOST_TRIED]
    return shelf.choices[key]


def _unread(shelf: _Shelf, request: ModelRequest) -> UnknownModel:
    return UnknownModel(_not_listed(shelf, request.model, request.version))


def _not_listed(shelf: _Shelf, model: str, version: str) -> str:
    reason = f" ({shelf.problem})" if shelf.problem else ""
    return f"{model} {version} can't be resolved, for the catalog could not be read yet{reason}; an exact version can"


def _stale(shelf: _Shelf) -> tuple[str, ...]:
    """A warning where the names are those of a time before S3 went away."""
    if shelf.read_at is None or shelf.is_listed:
        return ()
    return (f"S3 can't be listed: the version is that of {monotonic() - shelf.read_at:.0f} s ago",)
