"""Listing a source: the names of its models, versions and aliases, its images, and which versions are withdrawn.

One request per thousand folders.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeVar

import msgspec

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.folders import ALIASES, IMAGES, UNFINISHED, WITHDRAWN, split
from webhook.catalog.bucket.images import LARGEST, Images, parse_images
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import Withdrawal, Withdrawals, read_withdrawals
from webhook.catalog.resolution import VersionKey
from webhook.catalog.versions import ALIAS, Versions, order
from webhook.fields.parsers import EXACT_VERSION

MOST_VERSIONS: Final = 100_000
"""The maximum number of versions in a source's listing. Exact versions beyond it are found by lookups."""
_MOST_LISTINGS: Final = 5_000
_DEEPEST: Final = 4
LARGEST_ALIASES: Final = 256 * 1024
"""The maximum size of a model's aliases in bytes."""
_MOST_MODELS: Final = 10_000
"""The maximum number of models whose aliases, images, or withdrawals are read."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
"""The name of a version's folder or of a parent of such. Excludes reserved folders, whose names begin with a dot."""


class Aliases(msgspec.Struct, frozen=True):
    """The aliases of one model, and the object's ETag, by which a later listing recognizes them as unchanged."""

    etag: str
    versions: Mapping[str, str]


T = TypeVar("T", Aliases, Images, Withdrawals)


class ModelListing(msgspec.Struct, frozen=True):
    """The listing of one model."""

    versions: Versions
    aliases: Aliases | None


class SourceListing(msgspec.Struct, frozen=True):
    """The listing of one source."""

    models: Mapping[str, Versions] = {}
    """The ordered versions of each model."""
    unfinished: frozenset[str] = frozenset()
    """The folders with an upload marker. Those with a manifest are published nevertheless."""
    aliases: Mapping[str, Aliases] = {}
    images: Mapping[str, Images] = {}
    withdrawn: Mapping[str, Withdrawals] = {}
    is_complete: bool = True
    """Whether the listing has all ordered versions of the source."""
    problems: tuple[str, ...] = ()
    """What could not be read, or exceeds a limit."""

    def lacks(self, key: VersionKey) -> bool:
        """Whether the version does not exist, as far as the listing can tell."""
        if not self.is_complete or order(key.version) is None:
            return False
        listed = self.models.get(key.model)
        return listed is None or not listed.has(key.version)

    def withdrawal(self, model: str, version: str) -> Withdrawal | None:
        """The withdrawal of a version. None if it is not withdrawn."""
        withdrawals = self.withdrawn.get(model)
        return withdrawals.versions.get(version) if withdrawals else None

    def withdrawal_reasons(self, source: str) -> Iterator[tuple[VersionKey, str]]:
        """Each withdrawn version of the source with this name, and the reason."""
        for model, withdrawn in self.withdrawn.items():
            for version, withdrawal in withdrawn.versions.items():
                yield VersionKey(source, model, version), withdrawal.reason

    def withdrawn_versions(self, model: str) -> frozenset[str]:
        """The withdrawn versions of a model."""
        withdrawals = self.withdrawn.get(model)
        return withdrawals.names if withdrawals else frozenset()

    @property
    def versions(self) -> int:
        """The number of versions."""
        return sum(len(versions.names) for versions in self.models.values())


def read_names(store: Store, known: SourceListing | None = None) -> SourceListing:
    """List a source. Objects with aliases, images and withdrawals that have not changed since the previous listing,
    `known`, are not read again.

    Raises CatalogError.
    """
    known, problems = known or SourceListing(), list[str]()
    models: dict[str, list[str]] = defaultdict(list)
    for count, (model, version) in enumerate(_versions(store, problems), 1):
        models[model].append(version)
        if count == MOST_VERSIONS:
            problems.append(f"more than {MOST_VERSIONS} versions; the others can be requested only exactly")
            break
    is_complete = not problems
    return SourceListing(
        # Unchanged models keep their Versions, which saves the sorting.
        {model: _ordered(versions, known.models.get(model)) for model, versions in sorted(models.items())},
        _unfinished(store, problems),
        dict(_by_model(store, ALIASES, known.aliases, _read_aliases, problems)),
        dict(_by_model(store, IMAGES, known.images, _read_images, problems)),
        dict(_by_model(store, WITHDRAWN, known.withdrawn, read_withdrawals, problems)),
        is_complete,
        tuple(problems),
    )


def read_withdrawn(store: Store, source: str) -> tuple[dict[VersionKey, str], list[str]]:
    """Why versions of the source with this name are withdrawn, and what could not be read. Raises CatalogError."""
    problems = list[str]()
    withdrawn = dict(_by_model(store, WITHDRAWN, {}, read_withdrawals, problems))
    return dict(SourceListing(withdrawn=withdrawn).withdrawal_reasons(source)), problems


def _ordered(names: list[str], known: Versions | None) -> Versions:
    return known if known and set(names) == set(known.names) else Versions(names)


def _versions(store: Store, problems: list[str]) -> Iterator[tuple[str, str]]:
    """All pairs of model and version. Folders without a version are searched too: model names may contain slashes."""
    parents, listings = deque([""]), 0  # breadth-first, because unrelated folders may be deep
    while parents:
        folder = parents.popleft()
        listings += 1
        if listings > _MOST_LISTINGS:
            problems.append(f"more than {_MOST_LISTINGS} parent folders of versions; the others are not listed")
            return
        for name in store.folders(folder):
            if not _NAME.fullmatch(name):
                continue
            version = split(store.source.layout, f"{folder}{name}")
            if version:
                yield version
            elif folder.count("/") < _DEEPEST:
                parents.append(f"{folder}{name}/")


def _unfinished(store: Store, problems: list[str]) -> frozenset[str]:
    """The folders with an upload marker."""
    markers = [marker.key for marker in islice(store.objects(f"{UNFINISHED}/"), MOST_VERSIONS + 1)]
    if len(markers) > MOST_VERSIONS:
        problems.append(f"more than {MOST_VERSIONS} unfinished uploads; the others are not known")
    return frozenset(markers[:MOST_VERSIONS])


def _by_model(
    store: Store, folder: str, known: Mapping[str, T], read: Callable[[Store, str], T], problems: list[str]
) -> Iterator[tuple[str, T]]:
    """The content of each model's JSON object in a folder. One that cannot be read keeps its known content."""
    for count, listed in enumerate(store.objects(f"{folder}/")):
        if count == _MOST_MODELS:
            problems.append(f"more than {_MOST_MODELS} objects in {store.uri(folder)}/; the others are not known")
            return
        model, suffix, _ = listed.key.rpartition(".json")
        if not suffix:
            continue
        if listed.etag and model in known and known[model].etag == listed.etag:
            yield model, known[model]
            continue
        key = f"{folder}/{listed.key}"
        try:
            yield model, read(store, key)
        except CatalogError as error:
            problems.append(f"{store.uri(key)}: {error}")
            if model in known:
                yield model, known[model]


def _read_aliases(store: Store, key: str) -> Aliases:
    content = store.read(key, LARGEST_ALIASES)
    return Aliases(content.etag, parse_aliases(content.body))


def _read_images(store: Store, key: str) -> Images:
    content = store.read(key, LARGEST)
    return Images(content.etag, parse_images(content.body))


def read_model(store: Store, model: str) -> ModelListing:
    """List one model. Raises CatalogError."""
    prefix = model + store.source.layout.removeprefix("{model}").removesuffix("{version}")
    folders = (f"{prefix}{name}" for name in islice(store.folders(prefix), MOST_VERSIONS))
    parsed = (split(store.source.layout, folder) for folder in folders)
    versions = Versions(pair[1] for pair in parsed if pair and pair[0] == model)
    key = f"{ALIASES}/{model}.json"
    if not store.exists(key):
        return ModelListing(versions, None)
    return ModelListing(versions, _read_aliases(store, key))


def parse_aliases(content: bytes) -> dict[str, str]:
    """Parse the object with a model's aliases: a map from names to exact versions. Raises CatalogError."""
    try:
        versions = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise CatalogError(f"aliases are a JSON object of names and versions: {error}") from error
    for name, version in versions.items():
        if not ALIAS.fullmatch(name) or not EXACT_VERSION.fullmatch(version):
            raise CatalogError(f"alias {name!r} for version {version!r} is invalid; aliases stand for exact versions")
    return versions
