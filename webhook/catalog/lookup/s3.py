"""The catalog of S3 buckets (`catalog.mode: s3`), which resolves requests from memory.

`list_source` and `look_up` send requests to S3 and change no state: they block, and may run in any thread. The other
methods do no I/O, and must run in one thread.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Final

from msgspec.structs import replace

from webhook.catalog.bucket.errors import CatalogError, Denied, Unreachable
from webhook.catalog.bucket.listing import ModelListing, SourceListing, read_model, read_names
from webhook.catalog.bucket.status import VersionStatus, inspect
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import Withdrawal
from webhook.catalog.lookup.index import SourceIndex, SourceStatus
from webhook.catalog.lookup.preflight import preflight_error, withdrawn
from webhook.catalog.resolution import LookupRequired, Resolved, UnknownModel, UnknownVersion, VersionKey
from webhook.catalog.versions import Alias, ExactVersion, Reference, VersionRange, parse_reference
from webhook.errors import shown
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.settings import Settings

_MOST_VERSIONS: Final = 20_000
_MOST_TEMPORARY: Final = 4_000
_TEMPORARY_SECONDS: Final = 5
"""How long a temporary status, such as absent or unreachable, is cached, and how long a source backs off."""
_STEADY_SECONDS: Final = 3600
"""How long the status of an immutable version is cached."""
_IDLE_SECONDS: Final = 60
"""How long, at least, the status of a version that may change is cached. Versions in use are refreshed sooner."""
_TEMPORARY: Final = frozenset({"absent", "unfinished", "unreadable", "denied", "unreachable"})


class _CachedVersion:
    """A version, and its status by the last lookup."""

    __slots__ = ("artifact", "at", "is_used", "status")

    def __init__(self, key: VersionKey, index: SourceIndex, status: VersionStatus) -> None:
        self.status, self.at = status, monotonic()
        self.artifact = Artifact(
            key.model,
            key.version,
            index.source,
            status.files,
            status.size,
            status.digest,
            status.objects,
            status.object_bytes,
            index.image(key, status),
        )
        self.is_used = False
        """Whether a pod asked for it since the lookup."""

    def update_image(self, image: str | None) -> None:
        """Record the image. An artifact whose image is the same stays, because caches compare artifacts."""
        if image != self.artifact.image:
            self.artifact = replace(self.artifact, image=image)


class S3Catalog:
    """A cache of listings, which have all names, and of the status of each version that was asked for."""

    def __init__(self, settings: Settings, *, seconds: float = 10, attempts: int = 3) -> None:
        """`seconds` and `attempts` are those of Store."""
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
        """The status of a version, or the listing of the model if the key has no version.

        Blocks. Errors of S3 are returned as a status.
        """
        index = self._indexes[key.source]
        folder = index.source.layout.format(model=key.model, version=key.version)
        try:
            if not key.version:
                return read_model(index.store, key.model)
            known = self._versions.get(key)
            return inspect(index.store, folder, self._options.required_tag, known.status if known else None)
        except Denied as error:
            return VersionStatus("denied", error=str(error))
        except Unreachable as error:
            return VersionStatus("unreachable", error=str(error))
        except CatalogError as error:
            return VersionStatus("unreadable", error=str(error))

    def update(self, source: str, listing: SourceListing) -> None:
        """Replace the listing of a source, and drop the cached versions that it lacks."""
        index = self._indexes[source]
        index.update(listing)
        for key, known in [(key, known) for key, known in self._versions.items() if key.source == source]:
            if listing.lacks(key):
                del self._versions[key]
            else:
                known.update_image(index.image(key, known.status))
        self._temporary = {key: known for key, known in self._temporary.items() if key.source != source}

    def listing_failed(self, source: str, problem: str) -> None:
        """Record that listing a source failed. The previous listing stays in use."""
        self._indexes[source].listing_failed(problem)
        self.back_off(source)

    def back_off(self, source: str) -> None:
        """Require no lookups in a source for some seconds, because S3 does not answer and pods would wait."""
        self._indexes[source].backing_off_until = monotonic() + _TEMPORARY_SECONDS

    def cache(self, key: VersionKey, result: VersionStatus | ModelListing) -> None:
        """Cache the result of a lookup, for some seconds if it is temporary.

        If S3 did not answer or denied access, the previously cached status of the version stays.
        """
        index = self._indexes[key.source]
        if isinstance(result, ModelListing):
            index.merge(key.model, result)
        # The key of a model has no version. Its entry only records when the model was listed.
        status = VersionStatus("absent") if isinstance(result, ModelListing) else result
        known = _CachedVersion(key, index, status)
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
        """At most `most` versions to look up again, the oldest first: those in use whose status may have changed."""
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
        """The last listing of a source. None before the first one."""
        return self._indexes[source].listing

    def close(self) -> None:
        """Close all connections."""
        for index in self._indexes.values():
            index.store.close()

    def withdrawal(self, request: ModelRequest, version: str) -> Withdrawal | None:
        """The withdrawal of this version of the requested model, by the last listing. None if it is not withdrawn."""
        return self._indexes[request.source].withdrawal(request.model, version)

    def check(self, request: ModelRequest, version: str) -> None:
        """Raise Withdrawn if the last listing says that this version of the requested model was withdrawn."""
        if withdrawal := self.withdrawal(request, version):
            raise withdrawn(request, version, withdrawal)

    def resolve(self, request: ModelRequest) -> Resolved:
        """Resolve a request.

        Raises UnknownModel if there is no such version, if it was withdrawn, or if an enforced preflight fails. Raises
        LookupRequired if the answer depends on a version whose status is not cached.
        """
        return self._resolve(request, admits_withdrawn=False)

    def resolve_withdrawn(self, request: ModelRequest) -> Resolved:
        """As `resolve`, but exact versions and aliases may mean a withdrawn version. Ranges never do."""
        return self._resolve(request, admits_withdrawn=True)

    def _resolve(self, request: ModelRequest, *, admits_withdrawn: bool) -> Resolved:
        index = self._indexes[request.source]
        warnings: tuple[str, ...] = ()
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
        if not admits_withdrawn:
            self.check(request, version)
        key = VersionKey(request.source, request.model, version)
        return self._preflight(index, key, self._cached(index, key), warnings)

    def _newest(self, index: SourceIndex, request: ModelRequest, reference: VersionRange) -> Resolved:
        """The newest published version in a range. Unreachable versions are skipped, unless there are no others."""
        unknown: list[tuple[VersionKey, _CachedVersion]] = []
        for version in index.choices(request, reference):
            key = VersionKey(request.source, request.model, version)
            known = self._cached(index, key)
            if known.status.state == "unreachable" and index.is_unfinished(key):
                continue
            if known.status.state == "unreachable":
                unknown.append((key, known))
            elif known.status.state not in ("absent", "unfinished") and not self._lacks_tag(known.status):
                return self._preflight(index, key, known, (*index.staleness(), *_skipped(unknown)))
        if unknown and not (self._options.required_tag and self._options.preflight == "enforce"):
            return self._preflight(index, *unknown[0], index.staleness())
        raise self._miss(index, request, index.nothing_fits(request, reference))

    def _preflight(
        self, index: SourceIndex, key: VersionKey, known: _CachedVersion, warnings: tuple[str, ...]
    ) -> Resolved:
        status = known.status
        if status.state == "unreachable":
            warnings = (*warnings, f"{key.model} {key.version} is not checked: S3 did not answer")
        elif self._options.preflight != "off" and (
            problem := preflight_error(index.listing, key, status, self._options.required_tag)
        ):
            if self._options.preflight == "enforce":
                raise problem
            warnings = (*warnings, str(problem))
        return Resolved(known.artifact, warnings, status.state != "unreachable")

    def _cached(self, index: SourceIndex, key: VersionKey) -> _CachedVersion:
        """The cached version; during a back-off, possibly an outdated or unreachable one. Raises LookupRequired."""
        now = monotonic()
        if known := self._versions.get(key):
            is_old = self._may_change(known.status) and now - known.at > self._idle_seconds
            if not is_old or now < index.backing_off_until:
                known.is_used = True
                return known
        if (known := self._temporary.get(key)) and now - known.at < _TEMPORARY_SECONDS:
            return known
        if now < index.backing_off_until:
            return _CachedVersion(key, index, VersionStatus("unreachable", error=index.problem))
        raise LookupRequired([key])

    def _miss(self, index: SourceIndex, request: ModelRequest, refusal: UnknownModel) -> Exception:
        """What to raise if the listing has no answer: LookupRequired first, because it may be outdated."""
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
        return bool(status.state == "unmanaged" or self._options.required_tag or status.archived or status.mismatch)


def _skipped(unknown: Sequence[tuple[VersionKey, _CachedVersion]]) -> tuple[str, ...]:
    return tuple(f"{key.model} {key.version} is skipped: S3 did not answer" for key, _ in unknown[:1])


def _put(known: dict[VersionKey, _CachedVersion], key: VersionKey, value: _CachedVersion, most: int) -> None:
    """Insert as the newest, and drop the oldest if there are more than `most`."""
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
