"""What a source has, by name alone: models, versions, aliases. A request for each thousand folders."""

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec

from webhook.catalog.bucket.folders import ALIASES, UNFINISHED, split
from webhook.catalog.bucket.store import CatalogError, Store
from webhook.catalog.resolution import VersionKey
from webhook.catalog.versions import ALIAS, Versions, order
from webhook.fields.parsers import EXACT_VERSION

MOST_VERSIONS: Final = 100_000
"""Of one source; exact versions beyond are found all the same, one by one."""
_MOST_LISTINGS: Final = 5_000
_DEEPEST: Final = 4
_LARGEST_ALIASES: Final = 256 * 1024
_MOST_ALIASES: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
"""A folder that may be a version's, or stand above such: not ours, which begin with a dot."""


class Aliases(msgspec.Struct, frozen=True):
    """The aliases of one model, and the ETag by which a later look knows that they are the same."""

    etag: str
    versions: Mapping[str, str]


class ModelListing(msgspec.Struct, frozen=True):
    """The names of one model."""

    versions: Versions
    aliases: Aliases | None


class SourceListing(msgspec.Struct, frozen=True):
    """The names in one source at one moment."""

    models: Mapping[str, Versions] = {}
    """The versions of each model that have an order."""
    unfinished: frozenset[str] = frozenset()
    """Folders whose upload has begun; those of them with a manifest are published all the same."""
    aliases: Mapping[str, Aliases] = {}
    is_whole: bool = True
    """Whether all versions are among them."""
    problems: tuple[str, ...] = ()
    """What could not be read, or is too much: the rest stands."""

    def lacks(self, place: VersionKey) -> bool:
        """Whether a version would be listed, and is not."""
        if not self.is_whole or order(place.version) is None:
            return False
        listed = self.models.get(place.model)
        return listed is None or not listed.has(place.version)

    @property
    def versions(self) -> int:
        """How many there are."""
        return sum(len(each.names) for each in self.models.values())


def read_names(store: Store, known: SourceListing | None = None) -> SourceListing:
    """All names of a source. `known` are those of the last time, whose aliases are read again only where they changed.

    Raises CatalogError.
    """
    known, problems = known or SourceListing(), list[str]()
    models: dict[str, list[str]] = defaultdict(list)
    for count, (model, version) in enumerate(_versions(store, problems), 1):
        models[model].append(version)
        if count == MOST_VERSIONS:
            problems.append(f"more than {MOST_VERSIONS} versions; the rest is known by exact version only")
            break
    is_whole = not problems
    return SourceListing(
        # What has not changed stays the same object, and its order is not worked out again.
        {model: _ordered(versions, known.models.get(model)) for model, versions in sorted(models.items())},
        frozenset(each.key for each in store.objects(f"{UNFINISHED}/")),
        dict(_aliases(store, known.aliases, problems)),
        is_whole,
        tuple(problems),
    )


def _ordered(names: list[str], known: Versions | None) -> Versions:
    return known if known and set(names) == set(known.names) else Versions(names)


def _versions(store: Store, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Every model and version. A folder that is no version may be the first part of models' names."""
    above, listings = deque([""]), 0  # the upper ones first: below one that is no version may be anything
    while above:
        folder = above.popleft()
        listings += 1
        if listings > _MOST_LISTINGS:
            problems.append(f"more than {_MOST_LISTINGS} folders above versions; the rest is not listed")
            return
        for name in store.folders(folder):
            if not _NAME.fullmatch(name):
                continue
            found = split(store.source.layout, f"{folder}{name}")
            if found:
                yield found
            elif folder.count("/") < _DEEPEST:
                above.append(f"{folder}{name}/")


def _aliases(store: Store, known: Mapping[str, Aliases], problems: list[str]) -> Iterator[tuple[str, Aliases]]:
    for each in islice(store.objects(f"{ALIASES}/"), _MOST_ALIASES):
        model, suffix, _ = each.key.rpartition(".json")
        if not suffix:
            continue
        if model in known and known[model].etag == each.etag:
            yield model, known[model]
            continue
        try:
            content = store.read(f"{ALIASES}/{each.key}", _LARGEST_ALIASES)
            yield model, Aliases(content.etag, parse_aliases(content.body))
        except CatalogError as error:
            problems.append(f"{store.uri(f'{ALIASES}/{each.key}')}: {error}")
            if model in known:
                yield model, known[model]


def read_model(store: Store, model: str) -> ModelListing:
    """The names of one model, between two listings of all. Raises CatalogError."""
    above = model + store.source.layout.removeprefix("{model}").removesuffix("{version}")
    folders = (f"{above}{name}" for name in islice(store.folders(above), MOST_VERSIONS))
    found = (split(store.source.layout, folder) for folder in folders)
    versions = Versions(each[1] for each in found if each and each[0] == model)
    key = f"{ALIASES}/{model}.json"
    if not store.has(key):
        return ModelListing(versions, None)
    content = store.read(key, _LARGEST_ALIASES)
    return ModelListing(versions, Aliases(content.etag, parse_aliases(content.body)))


def parse_aliases(content: bytes) -> dict[str, str]:
    """The aliases in a model's object: names to exact versions. Raises CatalogError."""
    try:
        versions = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise CatalogError(f"aliases are a JSON object of names and versions: {error}") from error
    for name, version in versions.items():
        if not ALIAS.fullmatch(name) or not EXACT_VERSION.fullmatch(version):
            raise CatalogError(f"alias {name!r} of {version!r} is no name and exact version")
    return versions
