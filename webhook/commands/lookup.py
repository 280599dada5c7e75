"""Lookups in the catalog by commands. Nothing is cached."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final

from webhook.annotations.parsing import parse
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import Withdrawal
from webhook.catalog.live import BlockingCatalog, settle
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import Resolved, UnknownModel, VersionKey, resolve_all
from webhook.catalog.versions import LATEST, order
from webhook.errors import InvalidInput
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Settings

_ATTEMPTS: Final = 8
"""The number of attempts of a request to S3. More than the webhook's, because a command may wait."""
_THREADS: Final = 8
MOST_PUBLISHED: Final = 5_000
"""The maximum number of versions that `published` looks up."""


def store_of(settings: Settings, source: str) -> Store:
    """The store of a source. Raises InvalidInput if the source is not configured."""
    if source not in settings.all_sources:
        raise InvalidInput(f"there is no source {source}; configured: {', '.join(settings.all_sources)}")
    return Store(settings.all_sources[source], attempts=_ATTEMPTS)


def request_of(settings: Settings, source: str, model: str, version: str) -> ModelRequest:
    """The request of a pod that is annotated with this source, model and version. Raises InvalidInput."""
    prefix = settings.annotation_prefix
    given = {"model": model, "version": version, "source": source}
    try:
        (request,) = parse({f"{prefix}/{name}": value for name, value in given.items()}, settings).models
    except Refusal as error:
        raise InvalidInput(str(error)) from error
    return request


def resolve(settings: Settings, request: ModelRequest) -> tuple[Artifact, tuple[str, ...]]:
    """Resolve a request to an artifact and warnings. Raises UnknownModel and CatalogError."""
    with closing(_catalog(settings)) as catalog:
        (resolved,) = _resolve([request], catalog)
        return resolved.artifact, resolved.warnings


def resolve_withdrawn(settings: Settings, request: ModelRequest) -> tuple[Resolved, Withdrawal | None]:
    """Resolve a request as if nothing it names were withdrawn, with the withdrawal. Raises as `resolve` does."""
    with closing(_catalog(settings)) as catalog:
        live = BlockingCatalog(catalog, (request.source,), needs_s3=True)
        resolved = asyncio.run(settle(lambda _: catalog.resolve_withdrawn(request), live))
        return resolved, catalog.withdrawal(request, resolved.artifact.version)


def resolve_by_mode(settings: Settings, requests: Sequence[ModelRequest]) -> list[Resolved]:
    """Resolve requests as the webhook does: without S3 if `catalog.mode` is none. Raises UnknownModel, CatalogError."""
    if settings.catalog.mode == "none":
        return resolve_all(requests, ExactCatalog(settings))
    with closing(_catalog(settings)) as catalog:
        return _resolve(requests, catalog)


def published(settings: Settings, source: str, models: Collection[str]) -> Iterator[Resolved | UnknownModel]:
    """All versions of these models, or of all models if there are none, in their order. In place of a version that pods
    cannot use, the reason. Raises InvalidInput and CatalogError.
    """
    with closing(_catalog(settings)) as catalog, ThreadPoolExecutor(_THREADS) as threads:
        catalog.update(source, listing := catalog.list_source(source))
        if unknown := sorted(set(models) - listing.models.keys()):
            raise UnknownModel(f"{', '.join(unknown)} has no versions in source {source}")
        if not listing.is_complete:
            raise CatalogError(f"source {source} cannot be listed completely: {'; '.join(listing.problems)}")
        wanted = {model: listing.models[model] for model in sorted(models or listing.models)}
        keys = [VersionKey(source, model, version) for model, known in wanted.items() for version in known.names]
        if len(keys) > MOST_PUBLISHED:
            raise InvalidInput(f"there are {len(keys)} versions, and the maximum is {MOST_PUBLISHED}: name some models")
        for key, status in zip(keys, threads.map(catalog.look_up, keys), strict=True):
            if isinstance(status, VersionStatus) and status.state == "unreachable":
                raise CatalogError(status.error)
            catalog.cache(key, status)
            try:
                yield catalog.resolve(request_of(settings, source, key.model, key.version))
            except UnknownModel as problem:
                yield problem


def _catalog(settings: Settings) -> S3Catalog:
    options = settings.catalog.model_copy(update={"preflight": "enforce"})
    return S3Catalog(settings.model_copy(update={"catalog": options}))


def _resolve(requests: Sequence[ModelRequest], catalog: S3Catalog) -> list[Resolved]:
    sources = tuple(dict.fromkeys(request.source for request in requests))
    return asyncio.run(settle(partial(resolve_all, requests), BlockingCatalog(catalog, sources, needs_s3=True)))


def split_reference(text: str) -> tuple[str, str]:
    """Parse `my-model@champion`, `my-model@1.2.3`, `my-model@^1.2` or `my-model` into model and version.

    Text after the `@` that is neither an ordered version nor a range is an alias. Raises InvalidInput.
    """
    model, mark, version = text.partition("@")
    if ":" in model and not mark:
        raise InvalidInput(f"{text!r} is not a model; write MODEL@VERSION, such as my-model@1.2.3")
    is_alias = version[:1].isalnum() and version.lower() != LATEST and order(version) is None
    return model, f"@{version}" if is_alias else version or "latest"
