"""The index of one source: resolves aliases and ranges to versions by its last listing."""

from collections.abc import Sequence
from itertools import islice
from time import monotonic
from typing import Final

import msgspec

from webhook.catalog.bucket.listing import ModelListing, SourceListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import Withdrawal
from webhook.catalog.lookup.preflight import unknown_model
from webhook.catalog.resolution import UnknownModel, UnknownVersion, VersionKey, Withdrawn
from webhook.catalog.versions import LATEST, VersionRange, Versions
from webhook.errors import shown
from webhook.model.request import ModelRequest
from webhook.model.source import Source

_NONE: Final = Versions()


class SourceStatus(msgspec.Struct, frozen=True):
    """The figures of a source."""

    models: int
    versions: int
    age: float | None
    """Seconds since the last successful listing. None before the first one."""
    is_listed: bool
    """Whether the last listing succeeded."""
    problem: str
    """Why the last listing failed or is incomplete. Empty otherwise."""


class SourceIndex:
    """The index of one source."""

    def __init__(self, source: Source, store: Store) -> None:
        self.source, self.store = source, store
        self.listing: SourceListing | None = None
        self.problem = ""
        self.backing_off_until = 0.0
        """No lookups are required before this (monotonic) time."""
        self._is_listed = False
        self._read_at: float | None = None

    def update(self, listing: SourceListing) -> None:
        """Replace the listing."""
        self.listing, self._read_at, self._is_listed, self.backing_off_until = listing, monotonic(), True, 0.0
        self.problem = "; ".join(listing.problems)

    def merge(self, model: str, listing: ModelListing) -> None:
        """Replace one model in the listing."""
        if self.listing is None:
            return
        models = {name: versions for name, versions in self.listing.models.items() if name != model}
        aliases = {name: versions for name, versions in self.listing.aliases.items() if name != model}
        if listing.versions.names:
            models[model] = listing.versions
        if listing.aliases:
            aliases[model] = listing.aliases
        self.listing = msgspec.structs.replace(self.listing, models=models, aliases=aliases)

    def listing_failed(self, problem: str) -> None:
        """Record that listing failed. The previous listing stays in use."""
        self.problem, self._is_listed = problem, False

    def status(self) -> SourceStatus:
        """The figures of the source."""
        names = self.listing or SourceListing()
        age = None if self._read_at is None else monotonic() - self._read_at
        return SourceStatus(len(names.models), names.versions, age, self._is_listed, self.problem)

    def staleness(self) -> tuple[str, ...]:
        """A warning if the last listing failed, because the names may be outdated."""
        if self._read_at is None or self._is_listed:
            return ()
        age = monotonic() - self._read_at
        return (f"S3 cannot be listed: the version was resolved from a listing that is {age:.0f} s old",)

    def alias(self, request: ModelRequest, name: str) -> str:
        """Resolve an alias to a version. Raises UnknownModel."""
        names = self._listed(request)
        aliases = names.aliases.get(request.model)
        version = aliases and aliases.versions.get(name)
        if version:
            return version
        if aliases is None and request.model not in names.models:
            raise self._unknown_model(request)
        known = ", ".join(f"@{alias}" for alias in list(aliases.versions)[:5]) if aliases else ""
        raise UnknownVersion(
            f"{request.model} has no alias @{name}; " + (f"it has {known}" if known else "it has no aliases")
        )

    def image(self, key: VersionKey, status: VersionStatus) -> str | None:
        """The image of a version, by the last listing. None if the version does not exist, or has other files now."""
        images = self.listing.images.get(key.model) if self.listing else None
        found = images.versions.get(key.version) if images else None
        if found is None:
            return None
        is_same = status.state in ("published", "unmanaged") and found.manifest == status.digest
        return found.reference if is_same or status.state == "unreachable" else None

    def choices(self, request: ModelRequest, reference: VersionRange) -> Sequence[str]:
        """The versions in a range that are not withdrawn, the newest first. Raises UnknownModel."""
        listing = self._listed(request)
        without = listing.withdrawn_versions(request.model)
        return listing.models.get(request.model, _NONE).within(reference, without)

    def withdrawal(self, model: str, version: str) -> Withdrawal | None:
        """The withdrawal of a version, by the last listing. None if it is not withdrawn."""
        return self.listing.withdrawal(model, version) if self.listing else None

    def is_unfinished(self, key: VersionKey) -> bool:
        """Whether the last listing has an upload marker of the version."""
        folder = self.source.layout.format(model=key.model, version=key.version)
        return self.listing is not None and folder in self.listing.unfinished

    def nothing_fits(self, request: ModelRequest, reference: VersionRange) -> UnknownModel:
        """The error for a range without a usable version."""
        listing = self._listed(request)
        known, without = listing.models.get(request.model), listing.withdrawn_versions(request.model)
        if known is None:
            return self._unknown_model(request)
        asked = f"{request.model} has no version in {shown(request.version)}"
        if choices := self.choices(request, reference):
            return UnknownVersion(f"{asked} that is published; {choices[0]} is not")
        if left_out := known.within(reference):
            withdrawal = listing.withdrawal(request.model, left_out[0])
            return Withdrawn(f"{asked} that is not withdrawn; {left_out[0]} was {withdrawal}")
        hint = " (which excludes pre-releases)" if reference.text == LATEST else ""
        newest = (name for name in known.newest() if name not in without)
        return UnknownVersion(f"{asked}{hint}; the newest are {', '.join(islice(newest, 3))}")

    def _listed(self, request: ModelRequest) -> SourceListing:
        if self.listing is None:
            reason = f" ({self.problem})" if self.problem else ""
            raise UnknownModel(
                f"{request.model} {request.version} cannot be resolved, because the catalog has not been read yet"
                f"{reason}; ask for an exact version, or try again"
            )
        return self.listing

    def _unknown_model(self, request: ModelRequest) -> UnknownModel:
        return unknown_model(self.listing, VersionKey(request.source, request.model, ""), self.problem)
