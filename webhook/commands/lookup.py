"""Lookups in the catalog by commands. Nothing is cached."""

import asyncio
from contextlib import closing
from typing import Final

from webhook.annotations.parsing import parse
from webhook.catalog.bucket.store import Store
from webhook.catalog.live import BlockingCatalog, settle
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.versions import LATEST, order
from webhook.errors import InvalidInput
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Settings

_ATTEMPTS: Final = 8
"""The number of attempts of a request to S3. More than the webhook's, because a command may wait."""


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
    options = settings.catalog.model_copy(update={"preflight": "enforce"})
    with closing(S3Catalog(settings.model_copy(update={"catalog": options}))) as catalog:
        live = BlockingCatalog(catalog, sources=(request.source,), needs_s3=True)
        resolved = asyncio.run(settle(lambda known: known.resolve(request), live))
        return resolved.artifact, resolved.warnings


def split_reference(text: str) -> tuple[str, str]:
    """Parse `my-model@champion`, `my-model@1.2.3`, `my-model@^1.2` or `my-model` into model and version.

    Text after the `@` that is neither an ordered version nor a range is an alias. Raises InvalidInput.
    """
    model, mark, version = text.partition("@")
    if ":" in model and not mark:
        raise InvalidInput(f"{text!r} is not a model; write MODEL@VERSION, such as my-model@1.2.3")
    is_alias = version[:1].isalnum() and version.lower() != LATEST and order(version) is None
    return model, f"@{version}" if is_alias else version or "latest"
