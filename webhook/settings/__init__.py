"""Every setting, declared once: its name, default, bounds, and the reason for it.

A YAML file carries them in camelCase (`fetch: {numWorkers: 64}`), the environment as
`MODEL_INJECTOR_FETCH__NUM_WORKERS=64`, and the environment wins: configuration.py reads them. docs/settings.md is
printed from here.
"""

from functools import cached_property
from typing import Final, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from webhook.fetching.settings import FetchResources, FetchSettings, ResourceList
from webhook.fields.parsers import EXACT_VERSION, SUBDOMAIN
from webhook.fields.types import SourceName
from webhook.settings.models import (
    CatalogSettings,
    DefaultSettings,
    Rule,
    Source,
    SourceFields,
    StrategyName,
    Verification,
)
from webhook.settings.process import CertificateSettings, PreviewSettings, ServerSettings

__all__ = [
    "DEFAULT_SOURCE",
    "ENVIRONMENT_PREFIX",
    "CatalogSettings",
    "CertificateSettings",
    "DefaultSettings",
    "FetchResources",
    "FetchSettings",
    "PreviewSettings",
    "ResourceList",
    "Rule",
    "ServerSettings",
    "Settings",
    "Source",
    "SourceFields",
    "StrategyName",
    "Verification",
]

ENVIRONMENT_PREFIX: Final = "MODEL_INJECTOR_"
DEFAULT_SOURCE: Final = "default"


class Settings(SourceFields, BaseSettings):
    """All settings. The source named `default` stands at the top level, as it does in the chart's values."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__")

    sources: dict[SourceName, Source] = {}
    """More places, by the name that the annotation `source` asks for. Each has the settings above, and a bucket."""
    annotation_prefix: str = Field(default="model-injector.io", pattern=f"^{SUBDOMAIN}$")
    """What the annotations' names begin with, before the slash."""
    defaults: DefaultSettings = DefaultSettings()
    """What holds where a pod's annotations say nothing."""
    fetch: FetchSettings = FetchSettings()
    """The init container that downloads."""
    catalog: CatalogSettings = CatalogSettings()
    """What is known of models at admission."""
    rules: tuple[Rule, ...] = Field(default=(), max_length=1000)
    """Which namespaces may use which models, strategies and service accounts. Each has the settings below."""
    preview: PreviewSettings = PreviewSettings()
    """Who may ask for previews."""
    certificates: CertificateSettings = CertificateSettings()
    """What makes the API server trust the webhook."""
    server: ServerSettings = ServerSettings()
    """How `model-injector serve` listens."""

    __hash__ = object.__hash__  # there is one of it, and what follows from it is remembered

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.bucket and not self.sources:
            raise ValueError("no bucket is set: set `bucket`, or `sources`")
        version = self.defaults.version
        if self.catalog.mode == "none" and version and not EXACT_VERSION.fullmatch(version):
            raise ValueError(
                f"defaults.version {version!r} needs a catalog, and catalog.mode is none: set an exact one"
            )
        if self.bucket and DEFAULT_SOURCE in self.sources:
            raise ValueError(f"sources.{DEFAULT_SOURCE} and the top level's bucket are the same source: keep one")
        return self

    @cached_property
    def all_sources(self) -> dict[str, Source]:
        """Every source by its name, the top level's among them."""
        if not self.bucket:
            return self.sources
        return {DEFAULT_SOURCE: Source(**{name: getattr(self, name) for name in Source.model_fields}), **self.sources}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content `load` passes as arguments."""
        return env_settings, init_settings
