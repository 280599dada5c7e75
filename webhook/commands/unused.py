"""The versions of the catalog that nothing in the cluster uses."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import msgspec

from webhook.catalog.bucket.errors import CatalogError, Denied, Unreachable
from webhook.catalog.bucket.listing import read_names
from webhook.catalog.bucket.status import VersionStatus, inspect
from webhook.catalog.bucket.store import Store
from webhook.commands.lookup import MOST_PUBLISHED, store_of
from webhook.commands.output import print_warnings
from webhook.errors import InvalidInput
from webhook.model.artifact import Artifact
from webhook.settings import Settings
from webhook.usage.uses import Usage

_THREADS = 8
_PUBLISHED = ("published", "unmanaged", "unreadable")


class Unused(msgspec.Struct, frozen=True):
    """A published version that nothing uses."""

    model: str
    version: str
    source: str
    state: str
    """published, unmanaged (without a manifest), or unreadable (its manifest is invalid)."""
    bytes: int | None
    created: datetime | None
    """None without a manifest."""
    aliases: tuple[str, ...]
    uri: str


def unused(settings: Settings, usage: Usage, wanted: Callable[[str, str], bool]) -> Iterator[Unused]:
    """The published versions of all sources that nothing uses, the newest of each model first.

    `wanted` selects by model and version. Raises CatalogError and InvalidInput.
    """
    for source in settings.all_sources:
        yield from _unused(store_of(settings, source), source, settings.catalog.required_tag, usage, wanted)


def _unused(store: Store, source: str, tag: str, usage: Usage, wanted: Callable[[str, str], bool]) -> Iterator[Unused]:
    listing = read_names(store)
    if not listing.is_complete:
        raise CatalogError(f"source {source} cannot be listed completely: {'; '.join(listing.problems)}")
    print_warnings(listing.problems)
    artifacts = [
        artifact
        for model, versions in listing.models.items()
        for version in versions.newest()
        if wanted(model, version) and not usage.of(artifact := Artifact(model, version, store.source))
    ]
    if len(artifacts) > MOST_PUBLISHED:
        raise InvalidInput(
            f"source {source} has {len(artifacts)} unused versions, and the maximum is {MOST_PUBLISHED}: name a model"
        )
    with ThreadPoolExecutor(_THREADS) as threads:
        statuses = threads.map(partial(_status, store, tag), artifacts)
        for artifact, status in zip(artifacts, statuses, strict=True):
            if status.state in _PUBLISHED and status.is_tagged:
                known = listing.aliases.get(artifact.model)
                aliases = known.versions.items() if known else ()
                yield Unused(
                    model=artifact.model,
                    version=artifact.version,
                    source=source,
                    state=status.state,
                    bytes=status.size,
                    created=status.created_at,
                    aliases=tuple(name for name, target in aliases if target == artifact.version),
                    uri=artifact.uri,
                )


def _status(store: Store, tag: str, artifact: Artifact) -> VersionStatus:
    """The status of a version. An unreadable one must not hide the others."""
    try:
        return inspect(store, artifact.folder, tag)
    except (Denied, Unreachable):
        raise
    except CatalogError:
        return VersionStatus("unreadable")
