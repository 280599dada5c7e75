"""The catalog of S3 buckets (`catalog.mode: s3`), which answers from memory.

Its methods are of two kinds. `list_source` and `look_up` ask S3 and change nothing here: they block, and may run in any
thread. The others use memory alone, and belong to one thread.
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

_MOST_VERSIONS: Final = 20_000
_MOST_TEMPORARY: Final = 4_000
_TEMPORARY_SECONDS: Final = 5
"""How long a result is cached that may soon be another: the version is missing, or S3 did not answer."""
_STEADY_SECONDS: Final = 3600
"""How long the status of a version that cannot change is trusted."""
_IDLE_SECONDS: Final = 60
"""How long, at least, the status of a version that may change is trusted while no pod asks for it."""
_TEMPORARY: Final = frozenset({"absent", "unfinished", "unreadable", "denied", "unreachable"})


class _CachedVersion:
    """One version, with its status when it was last looked up."""

    __slots__ = ("artifact", "at", "is_used", "status")

    def __init__(self, key: VersionKey, source: Source, status: VersionStatus) -> None:
        self.status, self.at = status, monotonic()
        self.artifact = Artifact(
            key.model,
            key.version,
            source,
            status.files,
            status.size,
            status.digest,
            status.objects,
            status.object_bytes,
        )
        self.is_used = False
        """Whether a pod has asked for it since it was looked up."""


class S3Catalog:
    """The versions in buckets: their names from listings, and the status of each from when it is first asked for."""

    def __init__(self, settings: Settings, *, seconds: float = 10, attempts: int = 3) -> None:
        """`seconds` and `attempts` as a Store has them."""
        self._options = settings.catalog
        self._indexes = {
            name: SourceIndex(source, Store(source, seconds=seconds, attempts=attempts))
            for name, source in settings.all_sources.items()
        }
        self._idle_seconds = max(_IDLE_SECONDS, 3 * settings.catalog.refresh_seconds)
        self._versions: dict[VersionKey, _CachedVersion] = {}
        self._temporary: dict[VersionKey, _CachedVersion] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources."""
        return tuple(self._indexes)

    def list_source(self, source: str) -> SourceListing:
        """List a source. Blocks; raises CatalogError."""
        index = self._indexes[source]
        return read_names(index.store, index.listing)

    def look_up(self, key: VersionKey) -> VersionStatus | ModelListing:
        """The status of one version, or the listing of its model where the key has no version.

        Blocks. Raises nothing: that S3 does not answer is a status, too.
        """
        index = self._indexes[key.source]
        folder = index.source.layout.format(model=key.model, version=key.version)
        try:
            if not key.version:
                return read_model(index.store, key.model)
            known = self._versions.get(key)
            return inspect(index.store, folder, self._options.required_tag, known.status if known else None)
        except Denied as error:
            return VersionStatus("denied", why=str(error))
        except Unreachable as error:
            return VersionStatus("unreachable", why=str(error))
        except CatalogError as error:
            return VersionStatus("unreadable", why=str(error))

    def update(self, source: str, listing: SourceListing) -> None:
        """Answer by this listing from now on."""
        self._indexes[source].update(listing)
        for key in [key for key in self._versions if key.source == source and listing.lacks(key)]:
            del self._versions[key]
        self._temporary = {key: known for key, known in self._temporary.items() if key.source != source}

    def listing_failed(self, source: str, problem: str) -> None:
        """The source could not be listed: go on with what is known."""
        self._indexes[source].listing_failed(problem)
        self.back_off(source)

    def back_off(self, source: str) -> None:
        """The source does not answer: require no lookup from it for some seconds, because pods would wait for that."""
        self._indexes[source].backing_off_until = monotonic() + _TEMPORARY_SECONDS

    def remember(self, key: VersionKey, found: VersionStatus | ModelListing) -> None:
        """Answer by what a lookup found from now on; for some seconds, if that may soon be another.

        Where S3 did not answer, what is known stays.
        """
        index = self._indexes[key.source]
        if isinstance(found, ModelListing):
            index.merge(key.model, found)
        status = (
            VersionStatus("absent") if isinstance(found, ModelListing) else found
        )  # the model's own key is no version
        known = _CachedVersion(key, index.source, status)
        if status.state in ("unreachable", "denied") and key in self._versions:
            self._versions[key].at = known.at
            self._versions[key].is_used = False
        elif status.state in _TEMPORARY:
            self._versions.pop(key, None)
            _put(self._temporary, key, known, _MOST_TEMPORARY)
        else:
            self._temporary.pop(key, None)
            _put(self._versions, key, known, _MOST_VERSIONS)

    def stale(self, source: str, most: int) -> list[VersionKey]:
        """Versions to look up again, the longest waiting first: those in use whose status may have changed."""
        now = monotonic()
        waiting = sorted(
            (known.at, key.model, key.version, key)
            for key, known in self._versions.items()
            if key.source == source
            and known.is_used
            and now - known.at >= (0 if self._may_change(known.status) else _STEADY_SECONDS)
        )
        return [key for *_, key in waiting[:most]]

    def status(self, source: str) -> SourceStatus:
        """The figures of a source."""
        return self._indexes[source].status()

    def listing(self, source: str) -> SourceListing | None:
        """The last listing of a source. None before the first."""
        return self._indexes[source].listing

    def close(self) -> None:
        """Close all connections."""
        for index in self._indexes.values():
            index.store.close()

    def resolve(self, request: ModelRequest) -> Resolved:
        """The artifact that `request` asks for.

        Raises UnknownModel where there is none, and where preflight is enforced and fails. Raises LookupRequired where
        the answer depends on a version that has not been looked up.
        """
        index, warnings = self._indexes[request.source], tuple[str, ...]()
        reference = _reference(request)
        if isinstance(reference, VersionRange):
            return self._newest(index, request, reference)
        if isinstance(reference, Alias):
            try:
                version, warnings = index.alias(request, reference.name), index.staleness()
            except UnknownModel as refusal:
                raise self._miss(index, request, refusal) from None
        else:
            version = reference.version
        key = VersionKey(request.source, request.model, version)
        return self._judge(index, key, self._find(index, key), warnings)

    def _newest(self, index: SourceIndex, request: ModelRequest, reference: VersionRange) -> Resolved:
        """The newest published version in the range. Versions that S3 does not tell about are passed over."""
        unknown = list[tuple[VersionKey, _CachedVersion]]()
        for version in index.choices(request, reference):
            key = VersionKey(request.source, request.model, version)
            known = self._find(index, key)
            if known.status.state == "unreachable" and index.is_unfinished(key):
                continue
            if known.status.state == "unreachable":
                unknown.append((key, known))
            elif known.status.state not in ("absent", "unfinished") and not self._lacks_tag(known.status):
                return self._judge(index, key, known, (*index.staleness(), *_passed_over(unknown)))
        if unknown and not (self._options.required_tag and self._options.preflight == "enforce"):
            return self._judge(index, *unknown[0], index.staleness())
        raise self._miss(index, request, index.nothing_fits(request, reference))

    def _judge(self, index: SourceIndex, key: VersionKey, known: _CachedVersion, warnings: tuple[str, ...]) -> Resolved:
        status = known.status
        if status.state == "unreachable":
            warnings = (*warnings, f"{key.model} {key.version} is not checked: S3 did not answer")
        elif self._options.preflight != "off" and (
            problem := fault(index.listing, key, status, self._options.required_tag)
        ):
            if self._options.preflight == "enforce":
                raise problem
            warnings = (*warnings, str(problem))
        return Resolved(known.artifact, warnings, status.state != "unreachable")

    def _find(self, index: SourceIndex, key: VersionKey) -> _CachedVersion:
        """What is known of a version. Raises LookupRequired where a lookup could tell more."""
        now = monotonic()
        if known := self._versions.get(key):
            is_old = self._may_change(known.status) and now - known.at > self._idle_seconds
            if not is_old or now < index.backing_off_until:
                known.is_used = True
                return known
        if (known := self._temporary.get(key)) and now - known.at < _TEMPORARY_SECONDS:
            return known
        if now < index.backing_off_until:
            return _CachedVersion(key, index.source, VersionStatus("unreachable", why=index.problem))
        raise LookupRequired([key])

    def _miss(self, index: SourceIndex, request: ModelRequest, refusal: UnknownModel) -> Exception:
        """What to raise where the listing has no answer: a lookup first, for the version may be newer than it."""
        key, now = VersionKey(request.source, request.model, ""), monotonic()
        known = self._temporary.get(key)
        is_new = known is None or now - known.at >= _TEMPORARY_SECONDS
        return (
            LookupRequired([key])
            if index.listing is not None and is_new and now >= index.backing_off_until
            else refusal
        )

    def _lacks_tag(self, status: VersionStatus) -> bool:
        return self._options.preflight != "off" and not status.is_tagged

    def _may_change(self, status: VersionStatus) -> bool:
        return bool(status.state == "unmanaged" or self._options.required_tag or status.archived or status.wrong)


def _passed_over(unknown: Sequence[tuple[VersionKey, _CachedVersion]]) -> tuple[str, ...]:
    return tuple(f"{key.model} {key.version} is passed over: S3 did not answer" for key, _ in unknown[:1])


def _put(known: dict[VersionKey, _CachedVersion], key: VersionKey, value: _CachedVersion, most: int) -> None:
    """Insert as the newest, and drop the oldest where there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]


def _reference(request: ModelRequest) -> Reference:
    if request.pinned_version:
        return ExactVersion(request.pinned_version)
    try:
        return parse_reference(request.version)
    except ValueError as error:
        raise UnknownVersion(f"{request.model}: version {shown(request.version)} is invalid: {error}") from error
