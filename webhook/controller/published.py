"""What the catalog has, as far as the controller is concerned, and which of it a load selects."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from webhook.catalog.resolution import VersionKey
from webhook.catalog.versions import Alias, ExactVersion, VersionRange, Versions, parse_reference
from webhook.fields.globs import matches
from webhook.model.artifact import Artifact
from webhook.settings.controller import CleaningSettings, Load


class Version(msgspec.Struct, frozen=True):
    """A version in the catalog."""

    artifact: Artifact
    created_at: datetime | None = None
    problem: str = ""
    """Why pods must not use it now; empty if it is published."""
    is_withdrawn: bool = False
    is_checked: bool = True
    """Whether S3 has told its state. Else nothing follows from the problem for claims that exist."""
    is_expired: bool = False
    """Whether it may be removed, if nothing uses it: it is old, has no alias, and is not among the newest."""
    expiry: str = ""
    """Why it may be removed, or not."""


class Model(msgspec.Struct, frozen=True):
    """The versions of a model that have a manifest, by their names, and its aliases."""

    versions: Mapping[str, Version] = {}
    aliases: Mapping[str, str] = {}

    def published(self, reference: str) -> Iterator[Version]:
        """The published versions that a reference means, the newest first. All that a range contains; of `latest`, only
        the newest. Raises ValueError if the reference is invalid."""
        parsed = parse_reference(reference)
        usable = {name: version for name, version in self.versions.items() if not version.problem}
        if isinstance(parsed, ExactVersion):
            names = iter((parsed.version,))
        elif isinstance(parsed, Alias):
            names = iter((self.aliases.get(parsed.name, ""),))
        else:
            names = _within(parsed, Versions(usable))
        return (usable[name] for name in names if name in usable)


def _within(wanted: VersionRange, versions: Versions) -> Iterator[str]:
    found = versions.all_within(wanted)
    if wanted.text == "latest":
        return iter(tuple(found)[:1])
    return found


def with_expiry(model: Model, settings: CleaningSettings, now: datetime) -> Model:
    """The model, with what may be removed of it."""
    usable = (name for name, version in model.versions.items() if not version.problem)
    ranks = {name: rank for rank, name in enumerate(Versions(usable).newest(), 1)}
    aliases = {version: name for name, version in sorted(model.aliases.items())}

    def expiry(name: str, version: Version) -> tuple[bool, str]:
        if name in aliases:
            return False, f"it has the alias {aliases[name]}"
        if version.created_at is None:
            return False, "the time of its publication is unknown"
        days = (now - version.created_at) / timedelta(days=1)
        if days < settings.retention / 86400:
            return False, f"published {days:.0f} days ago; the retention is {settings.retention / 86400:.0f}"
        rank = ranks.get(name)
        if rank is not None and rank <= settings.keep:
            return False, f"one of the newest {settings.keep}"
        return True, f"unused, published {days:.0f} days ago" + (
            "" if rank is None else f", newer versions: {rank - 1}"
        )

    versions = {}
    for name, version in model.versions.items():
        is_expired, why = expiry(name, version)
        versions[name] = msgspec.structs.replace(version, is_expired=is_expired, expiry=why)
    return Model(versions, model.aliases)


class Published(msgspec.Struct, frozen=True, dict=True):
    """The catalog. Only sources that were listed completely."""

    sources: Mapping[str, Mapping[str, Model]] = {}
    """The models that loads are about, of each source, by name."""
    uris: frozenset[str] = frozenset()
    """The folders of all versions in these sources, also of other models."""
    withdrawn: Mapping[VersionKey, str] = {}
    """Why versions in these sources are withdrawn, also of other models."""
    meanings: Mapping[VersionKey, Artifact | str] = {}
    """What the references of workloads mean: as text, why that is unknown. A key's version is the reference."""
    stale: frozenset[str] = frozenset()
    """The sources, by name, that could not be listed the last time: what is known of them is older."""

    def selected(self, load: Load) -> Iterator[Version]:
        """The versions that a load selects, by model, the newest of each first."""
        for name, model in self.sources.get(load.source, {}).items():
            if matches(name, load.models):
                yield from model.published(load.versions)

    def unchecked(self, load: Load) -> Iterator[Version]:
        """The versions of a load's models whose state S3 does not tell, because it denies access."""
        for name, model in self.sources.get(load.source, {}).items():
            if matches(name, load.models):
                yield from (version for version in model.versions.values() if not version.is_checked)

    @cached_property
    def by_uri(self) -> Mapping[str, Version]:
        """The versions, by their folders in S3."""
        return {
            version.artifact.uri: version
            for models in self.sources.values()
            for model in models.values()
            for version in model.versions.values()
        }
