"""The catalog of S3 buckets (`catalog.mode: s3`): what is known is in memory, and answers from there.

Its methods are of two kinds. `read` and `look` touch S3 alone: they block, may run in any thread, and change nothing
here. The others touch memory alone, and belong to one thread.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Final

from webhook.catalog.bucket.listing import ModelListing, SourceListing, read_model, read_names
from webhook.catalog.bucket.status import VersionStatus, inspect
from webhook.catalog.bucket.store import CatalogError, Denied, Store, Unreachable
from webhook.catalog.lookup.index import SourceIndex, SourceStatus
from webhook.catalog.lookup.preflight import fault
from webhook.catalog.resolution import LookupRequired, Resolved, UnknownModel, UnknownVersion, VersionKey
from webhook.catalog.versions import Alias, ExactVersion, Reference, VersionRange, parse_reference
from webhook.errors import shown
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.model.source import Source
from webhook.settings import Settings

_MOST_DETAILS: Final = 20_000
_MOST_PASSING: Final = 4_000
_PASSING_SECONDS: Final = 5
"""How long it is remembered that something is not there, or that S3 did not say."""
_STEADY_SECONDS: Final = 3600
"""How long what can't change is trusted to be neither archived nor damaged."""
_IDLE_SECONDS: Final = 60
"""How long what may change is trusted while nobody asks for it, at least; what is in use is looked at again anyway."""
_PASSING: Final = frozenset({"absent", "unfinished", "unreadable", "denied", "away"})


class _Known:
    """One version, as it was when it was last looked at."""

    __slots__ = ("artifact", "at", "detail", "is_used")

    def __init__(self, place: VersionKey, source: Source, detail: VersionStatus) -> None:
        self.detail, self.at = detail, monotonic()
        self.artifact = Artifact(
            place.model,
            place.version,
            source,
            detail.files,
            detail.size,
            detail.digest,
            detail.objects,
            detail.object_bytes,
        )
        self.is_used = False
        """Since it was looked at."""


class S3Catalog:
    """Versions in buckets, by name from listings, and in detail once they are asked for."""

    def __init__(self, settings: Settings, *, seconds: float = 10, attempts: int = 3) -> None:
        """`seconds` and `attempts` as a Store has them."""
        self._options = settings.catalog
        self._shelves = {
            name: SourceIndex(source, Store(source, seconds=seconds, attempts=attempts))
            for name, source in settings.all_sources.items()
        }
        self._idle_seconds = max(_IDLE_SECONDS, 3 * settings.catalog.refresh_seconds)
        self._details: dict[VersionKey, _Known] = {}
        self._passing: dict[VersionKey, _Known] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources."""
        return tuple(self._shelves)

    def read(self, source: str) -> SourceListing:
        """List a source. Blocks; raises CatalogError."""
        shelf = self._shelves[source]
        return read_names(shelf.store, shelf.names)

    def look(self, place: VersionKey) -> VersionStatus | ModelListing:
        """Look at one version, or, where the place names none, for the names of its model.

        Blocks; raises nothing, for that S3 does not say is an answer, too.
        """
        shelf = self._shelves[place.source]
        folder = shelf.source.layout.format(model=place.model, version=place.version)
        try:
            if not place.version:
                return read_model(shelf.store, place.model)
            known = self._details.get(place)
            return inspect(shelf.store, folder, self._options.required_tag, known.detail if known else None)
        except Denied as error:
            return VersionStatus("denied", why=str(error))
        except Unreachable as error:
            return VersionStatus("away", why=str(error))
        except CatalogError as error:
            return VersionStatus("unreadable", why=str(error))

    def take(self, source: str, names: SourceListing) -> None:
        """Answer with these names from now on."""
        self._shelves[source].take(names)
        for place in [place for place in self._details if place.source == source and names.lacks(place)]:
            del self._details[place]
        self._passing = {place: known for place, known in self._passing.items() if place.source != source}

    def fail(self, source: str, problem: str) -> None:
        """The source can't be listed: go on with what is known."""
        self._shelves[source].fail(problem)
        self.spare(source)

    def spare(self, source: str) -> None:
        """The source does not answer: ask it nothing for some seconds, for pods would wait for that."""
        self._shelves[source].away_until = monotonic() + _PASSING_SECONDS

    def remember(self, place: VersionKey, found: VersionStatus | ModelListing) -> None:
        """Answer with what a look has found from now on; with what passes for some seconds.

        That S3 did not say changes nothing that is known.
        """
        shelf = self._shelves[place.source]
        if isinstance(found, ModelListing):
            shelf.merge(place.model, found)
        detail = VersionStatus("absent") if isinstance(found, ModelListing) else found  # the place itself holds nothing
        known = _Known(place, shelf.source, detail)
        if detail.state in ("away", "denied") and place in self._details:
            self._details[place].at = known.at
            self._details[place].is_used = False
        elif detail.state in _PASSING:
            self._details.pop(place, None)
            _put(self._passing, place, known, _MOST_PASSING)
        else:
            self._passing.pop(place, None)
            _put(self._details, place, known, _MOST_DETAILS)

    def due(self, source: str, most: int) -> list[VersionKey]:
        """Versions to look at again, the longest waiting first: those in use of which something may have changed."""
        now = monotonic()
        waiting = sorted(
            (known.at, place.model, place.version, place)
            for place, known in self._details.items()
            if place.source == source
            and known.is_used
            and now - known.at >= (0 if self._may_change(known.detail) else _STEADY_SECONDS)
        )
        return [place for *_, place in waiting[:most]]

    def status(self, source: str) -> SourceStatus:
        """What is known of a source, in numbers."""
        return self._shelves[source].status()

    def names(self, source: str) -> SourceListing | None:
        """What the last listing of a source gave; None before the first."""
        return self._shelves[source].names

    def close(self) -> None:
        """Give all connections back."""
        for shelf in self._shelves.values():
            shelf.store.close()

    def resolve(self, request: ModelRequest) -> Resolved:
        """The artifact that `request` asks for.

        Raises UnknownModel, always where there is none, and where it is not fit and preflight is enforced. Raises
        LookupRequired where that depends on a version that has not been looked at.
        """
        shelf, warnings = self._shelves[request.source], tuple[str, ...]()
        reference = _reference(request)
        if isinstance(reference, VersionRange):
            return self._newest(shelf, request, reference)
        if isinstance(reference, Alias):
            try:
                version, warnings = shelf.alias(request, reference.name), shelf.staleness()
            except UnknownModel as refusal:
                raise self._miss(shelf, request, refusal) from None
        else:
            version = reference.version
        place = VersionKey(request.source, request.model, version)
        return self._judge(shelf, place, self._find(shelf, place), warnings)

    def _newest(self, shelf: SourceIndex, request: ModelRequest, reference: VersionRange) -> Resolved:
        """The newest version in the range that counts; where S3 does not say of a newer one, the newest known one."""
        unknown = list[tuple[VersionKey, _Known]]()
        for version in shelf.choices(request, reference):
            place = VersionKey(request.source, request.model, version)
            known = self._find(shelf, place)
            if known.detail.state == "away" and shelf.is_unfinished(place):
                continue
            if known.detail.state == "away":
                unknown.append((place, known))
            elif known.detail.state not in ("absent", "unfinished") and not self._lacks_tag(known.detail):
                return self._judge(shelf, place, known, (*shelf.staleness(), *_passed_over(unknown)))
        if unknown and not (self._options.required_tag and self._options.preflight == "enforce"):
            return self._judge(shelf, *unknown[0], shelf.staleness())
        raise self._miss(shelf, request, shelf.nothing_fits(request, reference))

    def _judge(self, shelf: SourceIndex, place: VersionKey, known: _Known, warnings: tuple[str, ...]) -> Resolved:
        detail = known.detail
        if detail.state == "away":
            warnings = (*warnings, f"{place.model} {place.version} is not checked: S3 could not be asked")
        elif self._options.preflight != "off" and (
            problem := fault(shelf.names, place, detail, self._options.required_tag)
        ):
            if self._options.preflight == "enforce":
                raise problem
            warnings = (*warnings, str(problem))
        return Resolved(known.artifact, warnings, detail.state != "away")

    def _find(self, shelf: SourceIndex, place: VersionKey) -> _Known:
        """What is known of a version. Raises LookupRequired where a look could tell more."""
        now = monotonic()
        if known := self._details.get(place):
            is_old = self._may_change(known.detail) and now - known.at > self._idle_seconds
            if not is_old or now < shelf.away_until:
                known.is_used = True
                return known
        if (known := self._passing.get(place)) and now - known.at < _PASSING_SECONDS:
            return known
        if now < shelf.away_until:
            return _Known(place, shelf.source, VersionStatus("away", why=shelf.problem))
        raise LookupRequired([place])

    def _miss(self, shelf: SourceIndex, request: ModelRequest, refusal: UnknownModel) -> Exception:
        """What to raise where the names have no answer: it may be younger than the last listing."""
        place, now = VersionKey(request.source, request.model, ""), monotonic()
        known = self._passing.get(place)
        is_new = known is None or now - known.at >= _PASSING_SECONDS
        return LookupRequired([place]) if shelf.names is not None and is_new and now >= shelf.away_until else refusal

    def _lacks_tag(self, detail: VersionStatus) -> bool:
        return self._options.preflight != "off" and not detail.is_tagged

    def _may_change(self, detail: VersionStatus) -> bool:
        return bool(detail.state == "unmanaged" or self._options.required_tag or detail.archived or detail.wrong)


def _passed_over(unknown: Sequence[tuple[VersionKey, _Known]]) -> tuple[str, ...]:
    return tuple(f"{place.model} {place.version} is passed over: S3 could not be asked" for place, _ in unknown[:1])


def _put(known: dict[VersionKey, _Known], place: VersionKey, value: _Known, most: int) -> None:
    """Remember as the newest, and forget the oldest where there are too many."""
    known.pop(place, None)
    known[place] = value
    if len(known) > most:
        del known[next(iter(known))]


def _reference(request: ModelRequest) -> Reference:
    if request.pinned_version:
        return ExactVersion(request.pinned_version)
    try:
        return parse_reference(request.version)
    except ValueError as error:
        raise UnknownVersion(f"{request.model}: version {shown(request.version)} is no version: {error}") from error
