"""Catalogs that look up versions in S3 when a request needs them, and `settle`, which repeats a decision after that."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final, Protocol, TypeVar

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey

LOOKUP_SECONDS: Final = 1.0
"""How long the decision about a pod waits for lookups in total."""
T = TypeVar("T")


class LiveCatalog(Protocol):
    """A catalog with the means to fill its cache."""

    @property
    def catalog(self) -> Catalog:
        """Resolves requests from memory."""

    async def look_up(self, keys: Sequence[VersionKey], seconds: float) -> None:
        """Look up these versions for at most `seconds`. Afterwards each is cached, if only as unreachable."""

    async def refresh(self, seconds: float) -> None:
        """List every source every `seconds`, until cancelled."""

    def close(self) -> None:
        """Start no further requests to S3."""


async def settle(decide: Callable[[Catalog], T], live: LiveCatalog) -> T:
    """Call `decide`. If it raises LookupRequired, look up the versions and call it again."""
    deadline = None
    while True:
        try:
            return decide(live.catalog)
        except LookupRequired as required:
            deadline = deadline or perf_counter() + LOOKUP_SECONDS
            await live.look_up(required.keys, deadline - perf_counter())


class StaticCatalog:
    """A catalog that never requires a lookup."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    async def look_up(self, keys: Sequence[VersionKey], seconds: float) -> None:
        """Do nothing."""

    async def refresh(self, seconds: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class BlockingCatalog:
    """The catalog of a command: lookups block and have no deadline."""

    def __init__(self, catalog: S3Catalog, sources: Sequence[str], *, needs_s3: bool) -> None:
        """List these sources. With `needs_s3`, raises CatalogError if S3 does not answer, here and in lookups."""
        self.catalog, self._needs_s3 = catalog, needs_s3
        for source in sources:
            try:
                catalog.update(source, catalog.list_source(source))
            except CatalogError as error:
                if needs_s3:
                    raise
                catalog.listing_failed(source, str(error))

    async def look_up(self, keys: Sequence[VersionKey], seconds: float) -> None:  # noqa: ARG002
        """Look up these versions one after the other. Raises CatalogError."""
        for key in keys:
            result = self.catalog.look_up(key)
            if self._needs_s3 and isinstance(result, VersionStatus) and result.state == "unreachable":
                raise CatalogError(result.error)
            self.catalog.cache(key, result)

    async def refresh(self, seconds: float) -> None:
        """Do nothing: commands are short."""

    def close(self) -> None:
        """Close all connections."""
        self.catalog.close()
