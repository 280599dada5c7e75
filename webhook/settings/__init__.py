"""Every setting, declared once: its name, default, bounds, and the reason for it.

A YAML file carries them in camelCase (`fetch: {numWorkers: 64}`), the environment as
`MODEL_INJECTOR_FETCH__NUM_WORKERS=64`, and the environment wins: loading.py reads them. docs/settings.md is printed
from here. Strategies bring settings of their own, which are composed into the group `strategies`.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ConfigDict, Field, create_model, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from webhook.fetching.settings import FetchSettings
from webhook.fields.group import Group
from webhook.fields.parsers import EXACT_VERSION, SUBDOMAIN
from webhook.fields.types import SourceName
from webhook.model.source import DEFAULT_SOURCE, Source, SourceFields
from webhook.settings.admission import CatalogSettings, DefaultSettings, Rule
from webhook.settings.process import CertificateSettings, PreviewSettings, ServerSettings
from webhook.strategies import STRATEGIES

__all__ = [
    "ENVIRONMENT_PREFIX",
    "CatalogSettings",
    "CertificateSettings",
    "DefaultSettings",
    "PreviewSettings",
    "Rule",
    "ServerSettings",
    "Settings",
    "setting_at",
]

ENVIRONMENT_PREFIX: Final = "MODEL_INJECTOR_"


def _field(name: str) -> str:
    """The field of a setting: `num_workers` for `numWorkers`, `s3_mount` for `s3-mount`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).replace("-", "_")


class _Composed(Group):
    """A group whose fields have no docstrings in a source file."""

    model_config = ConfigDict(use_attribute_docstrings=False)


def _strategy_settings() -> type[Group]:
    """The group `strategies`: a group for each strategy that has settings of its own."""
    groups: dict[str, Any] = {
        _field(strategy.name): (
            strategy.settings,
            Field(default_factory=strategy.settings, alias=strategy.name, description=strategy.summary),
        )
        for strategy in STRATEGIES.values()
        if not strategy.settings_path and strategy.settings is not Group
    }
    return create_model("StrategySettings", __base__=_Composed, __module__=__name__, **groups)


if TYPE_CHECKING:
    StrategySettings = Group
else:
    StrategySettings = _strategy_settings()


class Settings(SourceFields, BaseSettings):
    """All settings. The source named `default` stands at the top level."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__")

    sources: dict[SourceName, Source] = {}
    """More sources, by the name that the annotation `source` asks for. Each has the settings above, and a bucket."""
    annotation_prefix: str = Field(default="model-injector.io", pattern=f"^{SUBDOMAIN}$")
    """What the annotations' names begin with, before the slash."""
    defaults: DefaultSettings = DefaultSettings()
    """What holds where a pod's annotations say nothing."""
    fetch: FetchSettings = FetchSettings()
    """The init container that downloads."""
    strategies: StrategySettings = StrategySettings()
    """Settings of each strategy."""
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

    __hash__ = object.__hash__  # a process has one of it, and decisions are cached by it

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

    @cached_property
    def of_strategies(self) -> dict[str, Any]:
        """The settings of each strategy, by its name."""
        return {
            name: strategy.settings() if strategy.settings is Group else setting_at(strategy.path, self)
            for name, strategy in STRATEGIES.items()
        }

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


def setting_at(path: str, settings: Settings) -> Any:
    """The setting at a path as the file has it, such as `fetch.resources.limits.cpu`."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, _field(name))
    return value
