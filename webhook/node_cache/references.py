"""What references to versions mean now, read from the buckets with the driver's own role."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from webhook.annotations.parsing import parse
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.listing import SourceListing
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import LookupRequired
from webhook.errors import InjectorError
from webhook.fields.globs import matches
from webhook.model.artifact import Artifact
from webhook.node_cache.protocol import Volume, Wanted
from webhook.settings import Settings
from webhook.strategies.node_cache import NAME

_MOST_LOOKUPS: Final = 100
_MOST: Final = 1000
"""How many references are resolved at once."""


class Unresolved(InjectorError):
    """A reference means no version that can be read."""


def resolve(wanted: tuple[Wanted, ...], settings: Settings) -> tuple[tuple[Volume, ...], tuple[str, ...]]:
    """The versions that references mean, each once, and why others mean none. Blocks."""
    with closing(S3Catalog(settings)) as catalog:
        for source in catalog.sources:
            catalog.update(source, SourceListing())  # empty: each model is looked up, and nothing else is listed
        return _resolved(wanted, catalog, settings)


def _resolved(
    wanted: tuple[Wanted, ...], catalog: S3Catalog, settings: Settings
) -> tuple[tuple[Volume, ...], tuple[str, ...]]:
    found, problems = dict[tuple[str, str, str], Volume](), list[str]()
    for reference in list(_named(wanted, catalog, problems))[:_MOST]:
        try:
            artifact = _meaning(reference, catalog, settings)
        except InjectorError as error:
            problems.append(f"{reference.model} {reference.asked}: {error}")
            continue
        volume = Volume(
            source=reference.source,
            model=artifact.model,
            version=artifact.version,
            asked=reference.asked,
            digest=artifact.digest or "",
            verify=settings.defaults.verify,
            pod=None,
        )
        found.setdefault((reference.source, artifact.model, artifact.version), volume)
    return tuple(found.values()), tuple(problems)


def _named(wanted: tuple[Wanted, ...], catalog: S3Catalog, problems: list[str]) -> Iterator[Wanted]:
    """The references, with the names of models in place of globs."""
    for each in wanted:
        if not any(sign in each.model for sign in "*?["):
            yield each
            continue
        try:
            models = catalog.list_source(each.source).models
        except CatalogError as error:
            problems.append(f"source {each.source}: {error}")
            continue
        yield from (Wanted(each.source, name, each.asked) for name in sorted(models) if matches(name, (each.model,)))


def _meaning(wanted: Wanted, catalog: S3Catalog, settings: Settings) -> Artifact:
    """Raises Refusal and Unresolved."""
    prefix = settings.annotation_prefix
    named = {"model": wanted.model, "version": wanted.asked, "source": wanted.source, "strategy": NAME}
    (request,) = parse({f"{prefix}/{name}": value for name, value in named.items()}, settings).models
    for _ in range(_MOST_LOOKUPS):
        try:
            resolved = catalog.resolve(request)
        except LookupRequired as required:
            for key in required.keys:
                catalog.cache(key, catalog.look_up(key))
            continue
        if not resolved.is_checked:
            raise Unresolved("S3 does not answer")
        return resolved.artifact
    raise Unresolved("too many unpublished versions are newer")
