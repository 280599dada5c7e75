"""A catalog that knows what a test tells it, and never has to ask S3."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from webhook.catalog.bucket.listing import Aliases, SourceListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.withdrawals import Withdrawal, Withdrawals
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import LookupRequired, Resolved, VersionKey
from webhook.catalog.versions import Versions
from webhook.model.request import ModelRequest
from webhook.settings import Settings

DIGEST = "d" * 64


def known_settings(**settings: Any) -> Settings:
    """Those of the guide's example, with a catalog; `catalog` are settings of that group."""
    group = {"mode": "s3", "preflight": "enforce", **settings.pop("catalog", {})}
    return Settings(**{"bucket": "my-ml-bucket", "prefix": "model-artifacts", "catalog": group, **settings})


def published(size: int = 1000, files: int = 2) -> VersionStatus:
    """A version of so many bytes; publishing has added two objects of 100 bytes together."""
    return VersionStatus("published", files, size, files + 2, size + 100, DIGEST, datetime(2026, 1, 1, tzinfo=UTC))


WITHDRAWAL = Withdrawal("a wrong tokenizer", datetime(2026, 5, 1, 10, tzinfo=UTC))


class Known(S3Catalog):
    """All versions of `models` are published, unless `details` say otherwise."""

    def __init__(
        self,
        settings: Settings,
        models: Mapping[str, tuple[str, ...]],
        aliases: Mapping[str, Mapping[str, str]] | None = None,
        details: Mapping[tuple[str, str], VersionStatus] | None = None,
    ) -> None:
        super().__init__(settings)
        self.tell(models, aliases or {})
        for model, versions in models.items():
            for version in versions:
                detail = (details or {}).get((model, version), published())
                self.cache(VersionKey("default", model, version), detail)

    def resolve(self, request: ModelRequest) -> Resolved:
        """As an S3Catalog does it, for which S3 has no models that it was not told of."""
        try:
            return super().resolve(request)
        except LookupRequired as required:
            for key in required.keys:
                if key.version:
                    raise
                self.cache(key, VersionStatus("absent"))
        return super().resolve(request)

    def tell(
        self,
        models: Mapping[str, tuple[str, ...]],
        aliases: Mapping[str, Mapping[str, str]],
        withdrawn: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """What a new listing gives. `withdrawn` are pairs of model and version."""
        self.update(
            "default",
            SourceListing(
                {model: Versions(versions) for model, versions in models.items()},
                aliases={model: Aliases("", each) for model, each in aliases.items()},
                withdrawn={model: Withdrawals("", {version: WITHDRAWAL}) for model, version in withdrawn},
            ),
        )
