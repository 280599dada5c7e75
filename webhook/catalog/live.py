"""A catalog that may have to ask S3 before it can resolve a request, and the loop around that."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final, Protocol, TypeVar

from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.store import CatalogError
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey

LOOKUP_SECONDS: Final = 1.0
"""How long a pod waits for S3, however many versions it asks for."""
T = TypeVar("T")


class LiveCatalog(Protocol):
    """A catalog, and the means to look up what it does not know yet."""

    @property
    def catalog(self) -> Catalog:
        """Resolves requests from memory."""

    async def look_up(self, keys: Sequence[VersionKey], seconds: float) -> None:
        """Look up these versions, for at most so many seconds. Afterwards the catalog has an answer about each, even
        where S3 has none."""

    async def refresh(self, seconds: float) -> None:
        """List every source this often, until cancelled."""

    def close(self) -> None:
        """Start no further requests to S3."""


async def settle(decide: Callable[[Catalog], T], live: LiveCatalog) -> T:
    """Decide from memory. Where that requires a lookup, look up, then decide again."""
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
        """Nothing is left to look up."""

    async def refresh(self, seconds: float) -> None:
        """There is nothing to list."""

    def close(self) -> None:
        """It has no requests to S3."""


class BlockingCatalog:
    """A catalog for a command, which waits for S3 as long as it takes."""

    def __init__(self, catalog: S3Catalog, sources: Sequence[str], *, needs_s3: bool) -> None:
        """List these sources. `needs_s3`: where S3 does not answer, the command fails with CatalogError."""
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
            found = self.catalog.look_up(key)
            if self._needs_s3 and isinstance(found, VersionStatus) and found.state == "unreachable":
                raise CatalogError(found.why)
            self.catalog.remember(key, found)

    async def refresh(self, seconds: float) -> None:
        """A command ends before a listing is old."""

    def close(self) -> None:
        """Close all connections."""
        self.catalog.close()
