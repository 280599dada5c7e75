"""The catalog, as commands ask it: each question goes to S3."""

import asyncio
from contextlib import closing
from typing import Final

from webhook.annotations.parsing import parse
from webhook.catalog.bucket.store import Store
from webhook.catalog.live import BlockingCatalog, settle
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.versions import order
from webhook.errors import InvalidInput
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Settings

_ATTEMPTS: Final = 8
"""Of a request, which a person or a pipeline waits for."""


def store_of(settings: Settings, source: str) -> Store:
    """The bucket behind a source. Raises InvalidInput where there is no such source."""
    if source not in settings.all_sources:
        raise InvalidInput(f"there is no source {source}; configured: {', '.join(settings.all_sources)}")
    return Store(settings.all_sources[source], attempts=_ATTEMPTS)


def request_of(settings: Settings, source: str, model: str, version: str) -> ModelRequest:
    """The request that annotations with this model and version make. Raises InvalidInput."""
    prefix = settings.annotation_prefix
    given = {"model": model, "version": version, "source": source}
    try:
        (request,) = parse({f"{prefix}/{name}": value for name, value in given.items()}, settings).models
    except Refusal as error:
        raise InvalidInput(str(error)) from error
    return request


def resolve(settings: Settings, request: ModelRequest) -> tuple[Artifact, tuple[str, ...]]:
    """What is asked for, and what is to be said about it. Raises UnknownModel and CatalogError."""
    options = settings.catalog.model_copy(update={"preflight": "enforce"})
    with closing(S3Catalog(settings.model_copy(update={"catalog": options}))) as catalog:
        live = BlockingCatalog(catalog, sources=(request.source,), needs_s3=True)
        resolved = asyncio.run(settle(lambda known: known.resolve(request), live))
        return resolved.artifact, resolved.warnings


def split_reference(text: str) -> tuple[str, str]:
    """Model and version of `my-model@champion`, `my-model@1.2.3`, `my-model@^1.2`, `my-model`.

    What is neither a version with an order nor a range is an alias.
    """
    model, _, version = text.partition("@")
    is_alias = version[:1].isalnum() and version != "latest" and order(version) is None
    return model, f"@{version}" if is_alias else version or "latest"
