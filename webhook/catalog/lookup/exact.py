"""The catalog that knows nothing (`catalog.mode: none`): exact versions are taken at their word."""

from webhook.catalog.resolution import Resolved, UnknownVersion
from webhook.errors import shown
from webhook.fields.parsers import EXACT_VERSION
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.settings import Settings


class ExactCatalog:
    """Resolves exact versions, with no look at S3: whether they exist shows when the pod starts."""

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
        return Resolved(Artifact(request.model, version, self._sources[request.source]))
