"""Reads what the controller needs to know from the buckets."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from typing import Final

from msgspec.structs import replace

from webhook.annotations.parsing import parse
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.listing import SourceListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import LookupRequired, NoAccess, VersionKey, Withdrawn
from webhook.controller.published import Model, Published, Version, with_expiry
from webhook.fields.globs import matches
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Settings

_THREADS: Final = 8
_MOST_REPEATED: Final = 500
"""The maximum number of versions that are looked up again at each reading."""

_MOST_ROUNDS: Final = 20
"""How often references are resolved again after lookups. Each is about the next older version of a range."""


class CatalogReader:
    """Keeps what it has read, so that a source that cannot be listed for a while stays as it was."""

    def __init__(self, settings: Settings, *, expires: bool) -> None:
        """`expires`: also find out which versions may be removed."""
        options = settings.catalog.model_copy(update={"preflight": "enforce"})
        self._settings = settings.model_copy(update={"catalog": options})
        self._expires = expires
        self.catalog = S3Catalog(self._settings)
        self._threads = ThreadPoolExecutor(_THREADS, "catalog")
        self._created: dict[VersionKey, datetime | None] = {}
        """When versions that were looked up were published, if that is known."""
        self._withdrawn: dict[str, Mapping[VersionKey, str]] = {}
        self._models: dict[str, dict[str, Model]] = {}
        self._uris: dict[str, frozenset[str]] = {}
        self._followed: frozenset[VersionKey] = frozenset()
        self._has_news = Event()
        self.problems: dict[str, str] = {}
        """Why a source could not be read the last time, by source."""

    def follow(self, references: frozenset[VersionKey]) -> None:
        """Resolve these references from now on, and no others. A key's version is the reference. Thread-safe."""
        has_news = not references <= self._followed
        self._followed = references
        if has_news:
            self._has_news.set()

    def wait(self, seconds: float) -> bool:
        """Wait until there are new references to resolve. False if there are none."""
        return self._has_news.wait(seconds)

    def read(self) -> Published:
        """List the sources, and look up the versions that loads are about and that are not known yet. Blocks."""
        for source in self.catalog.sources:
            try:
                listing = self._listed(source)
                models = {name: self._model(source, name, listing) for name in self._wanted(source, listing)}
            except CatalogError as error:
                self.catalog.listing_failed(source, str(error))
                self.problems[source] = str(error)
                continue
            self.problems.pop(source, None)
            self._models[source], self._uris[source] = models, frozenset(self._folders(source, listing))
            self._withdrawn[source] = dict(listing.withdrawal_reasons(source))
        withdrawn = {key: reason for each in self._withdrawn.values() for key, reason in each.items()}
        uris, stale = frozenset[str]().union(*self._uris.values()), frozenset(self.problems)
        return self.resolved(Published(dict(self._models), uris, withdrawn, stale=stale))

    def resolved(self, published: Published) -> Published:
        """The same with what all references mean, by the last listing. Looks up what is not known yet. Blocks."""
        self._has_news.clear()
        return replace(published, meanings=self._meanings(self._followed))

    def _meanings(self, references: Iterable[VersionKey]) -> dict[VersionKey, Artifact | str]:
        found, waiting = dict[VersionKey, Artifact | str](), set(references)
        for _ in range(_MOST_ROUNDS):
            required = dict[VersionKey, None]()
            for reference in sorted(waiting, key=str):
                try:
                    found[reference] = self._meaning(reference)
                    waiting.remove(reference)
                except LookupRequired as lookup:
                    required.update(dict.fromkeys(lookup.keys))
            for key, status in zip(required, self._threads.map(self.catalog.look_up, required), strict=True):
                if isinstance(status, VersionStatus) and status.state == "unreachable":
                    self.catalog.back_off(key.source)
                self.catalog.cache(key, status)
        return {**dict.fromkeys(waiting, "too many unpublished versions are newer"), **found}

    def _meaning(self, reference: VersionKey) -> Artifact | str:
        """What a reference means; as text, why that is unknown. Raises LookupRequired."""
        try:
            resolved = self.catalog.resolve(self._request(reference))
        except Refusal as refusal:
            return str(refusal)
        if resolved.warnings:  # such as that a newer version could not be looked up
            return "; ".join(resolved.warnings)
        return resolved.artifact if resolved.is_checked else "S3 does not answer"

    def _listed(self, source: str) -> SourceListing:
        listing = self.catalog.list_source(source)
        if not listing.is_complete:
            raise CatalogError("; ".join(listing.problems))
        self.catalog.update(source, listing)
        return listing

    def _wanted(self, source: str, listing: SourceListing) -> Iterator[str]:
        """The models that loads are about."""
        globs = tuple(glob for load in self._settings.loads if load.source == source for glob in load.models)
        return (name for name in listing.models if matches(name, globs))

    def _folders(self, source: str, listing: SourceListing) -> Iterator[str]:
        place = self._settings.all_sources[source]
        for model, versions in listing.models.items():
            for version in versions.names:
                yield Artifact(model, version, place).uri

    def _model(self, source: str, name: str, listing: SourceListing) -> Model:
        keys = [VersionKey(source, name, version) for version in listing.models[name].names]
        stale = set(self.catalog.stale(source, _MOST_REPEATED))
        unknown = [key for key in keys if key in stale or self._needs_lookup(key)]
        for key, status in zip(unknown, self._threads.map(self.catalog.look_up, unknown), strict=True):
            if isinstance(status, VersionStatus) and status.state == "unreachable":
                raise CatalogError(status.error)
            if isinstance(status, VersionStatus):
                self._created[key] = status.created_at or self._created.get(key)
            self.catalog.cache(key, status)
        aliases = listing.aliases.get(name)
        model = Model({key.version: self._version(key) for key in keys}, aliases.versions if aliases else {})
        return with_expiry(model, self._settings.controller.cleaning, datetime.now(UTC)) if self._expires else model

    def _needs_lookup(self, key: VersionKey) -> bool:
        try:
            self.catalog.resolve(self._request(key))
        except LookupRequired:
            return True
        except Withdrawn:  # resolved without a lookup, which clean-up needs to know its age
            return self._expires and key not in self._created
        except Refusal:
            return False
        return False

    def _version(self, key: VersionKey) -> Version:
        artifact = Artifact(key.model, key.version, self._settings.all_sources[key.source])
        try:
            found = self.catalog.resolve(self._request(key)).artifact
        except LookupRequired:
            return Version(artifact, problem="it has not been looked up", is_checked=False)
        except Refusal as problem:
            created, is_checked = self._created.get(key), not isinstance(problem, NoAccess)
            is_withdrawn = isinstance(problem, Withdrawn)
            return Version(artifact, created, str(problem), is_withdrawn=is_withdrawn, is_checked=is_checked)
        lack = "" if found.digest else "it has no manifest: publish it with model-injector publish"
        return Version(found, self._created.get(key), lack)

    def _request(self, key: VersionKey) -> ModelRequest:
        """Raises Refusal for a name that no annotation can have."""
        prefix = self._settings.annotation_prefix
        given = {"model": key.model, "version": key.version, "source": key.source}
        (request,) = parse({f"{prefix}/{name}": value for name, value in given.items()}, self._settings).models
        return request

    def close(self) -> None:
        """Close all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.catalog.close()
