"""The catalog without S3 (`catalog.mode: none`): accepts every exact version without a check."""

from functools import lru_cache

from webhook.catalog.resolution import Resolved, UnknownVersion
from webhook.errors import shown
from webhook.fields.parsers import EXACT_VERSION
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.model.source import Source
from webhook.settings import Settings


class ExactCatalog:
    """Resolves exact versions without a lookup. A version that does not exist fails in the init container."""

    def __init__(self, settings: Settings) -> None:
        self._sources = settings.all_sources

    def resolve(self, request: ModelRequest) -> Resolved:
        """The artifact of an exact version. Raises UnknownVersion for an alias, a range and `latest`."""
        version = request.pinned_version or request.version
        if not EXACT_VERSION.fullmatch(version):
            raise UnknownVersion(
                f"model {request.model}: version {shown(request.version)} needs a catalog to resolve it, and this "
                "installation has none (catalog.mode: none); write an exact version such as 1.2.3"
            )
        return _resolved(request.model, version, self._sources[request.source])

    def check(self, request: ModelRequest, version: str) -> None:
        """Do nothing: without S3, it is unknown which versions are withdrawn."""


@lru_cache(maxsize=1024)
def _resolved(model: str, version: str, source: Source) -> Resolved:
    """Cached, so that pods of a workload share one artifact object, and caches keyed by it find it quickly."""
    return Resolved(Artifact(model, version, source))
