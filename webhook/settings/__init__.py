"""The declaration of every setting: its name, type, default and description.

A YAML file has them in camelCase (`fetch: {numWorkers: 64}`), the environment in capitals
(`MODEL_INJECTOR_FETCH__NUM_WORKERS=64`). The environment takes precedence; loading.py reads both. docs/settings.md and
the chart's schema are generated from here. The group `strategies` is composed of the settings that strategies declare.
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
from webhook.settings.admission import CatalogSettings, DefaultSettings, InventorySettings, Rule, WorkloadSettings
from webhook.settings.controller import ControllerSettings, Load
from webhook.settings.process import CertificateSettings, PreviewSettings, ServerSettings
from webhook.strategies import STRATEGIES

__all__ = [
    "ENVIRONMENT_PREFIX",
    "CatalogSettings",
    "CertificateSettings",
    "ControllerSettings",
    "DefaultSettings",
    "Load",
    "PreviewSettings",
    "Rule",
    "ServerSettings",
    "Settings",
    "WorkloadSettings",
    "setting_at",
]

ENVIRONMENT_PREFIX: Final = "MODEL_INJECTOR_"


def _field(name: str) -> str:
    """The name of a setting's field: `num_workers` for `numWorkers`, `s3_mount` for `s3-mount`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).replace("-", "_")


class _Composed(Group):
    """The base class of a group that is created at run time, and so has no docstrings in a source file."""

    model_config = ConfigDict(use_attribute_docstrings=False)


def _strategy_settings() -> type[Group]:
    """Create the group `strategies`, which has a group for each strategy that declares settings."""
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
    """All settings. The top level describes the source named `default`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__")

    sources: dict[SourceName, Source] = {}
    """More sources, by the name that the annotation `source` refers to. Each has the settings above."""
    annotation_prefix: str = Field(default="model-injector.io", pattern=f"^{SUBDOMAIN}$")
    """The prefix of all annotations, without the slash."""
    defaults: DefaultSettings = DefaultSettings()
    """Defaults for what a pod's annotations do not set."""
    fetch: FetchSettings = FetchSettings()
    """The init container that downloads models."""
    strategies: StrategySettings = StrategySettings()
    """The settings of each strategy."""
    catalog: CatalogSettings = CatalogSettings()
    """The catalog of the models in the buckets."""
    inventory: InventorySettings = InventorySettings()
    """What the webhook reads about the cluster, to know which strategies are available."""
    rules: tuple[Rule, ...] = Field(default=(), max_length=1000)
    """Which namespaces may use which models, strategies and service accounts. Each has the settings below."""
    workloads: WorkloadSettings = WorkloadSettings()
    """Workloads whose templates are pinned."""
    loads: tuple[Load, ...] = Field(default=(), max_length=1000)
    """Which published versions the controller makes ready in the cluster. Each has the settings below."""
    controller: ControllerSettings = ControllerSettings()
    """The controller, which loads versions, restarts workloads, and removes what nothing uses."""
    preview: PreviewSettings = PreviewSettings()
    """Access to previews."""
    certificates: CertificateSettings = CertificateSettings()
    """The certificate by which the API server trusts the webhook."""
    server: ServerSettings = ServerSettings()
    """The ports of `model-injector serve`."""

    __hash__ = object.__hash__  # by identity and fast, because results are cached by settings

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.bucket and not self.sources:
            raise ValueError("no bucket is set: set `bucket`, or `sources`")
        version = self.defaults.version
        if self.catalog.mode == "none" and version and not EXACT_VERSION.fullmatch(version):
            raise ValueError(
                f"defaults.version {version!r} needs a catalog, and catalog.mode is none: set an exact version"
            )
        if unknown := {load.source for load in self.loads} - self.all_sources.keys():
            raise ValueError(f"loads name a source that is not configured: {', '.join(sorted(unknown))}")
        if self.bucket and DEFAULT_SOURCE in self.sources:
            raise ValueError(f"sources.{DEFAULT_SOURCE} and the top level's bucket are the same source: keep one")
        for name, strategy in STRATEGIES.items():
            problem = strategy.problem(self.of_strategies[name], self.all_sources.keys(), self.catalog.mode == "s3")
            if problem:
                raise ValueError(f"{strategy.path}.{problem}")
        return self

    @cached_property
    def all_sources(self) -> dict[str, Source]:
        """All sources by name, including `default`."""
        if not self.bucket:
            return self.sources
        return {DEFAULT_SOURCE: Source(**{name: getattr(self, name) for name in Source.model_fields}), **self.sources}

    @cached_property
    def of_strategies(self) -> dict[str, Any]:
        """The settings of each strategy, by the strategy's name."""
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
        """The environment takes precedence over the file, whose content `load` passes as arguments."""
        return env_settings, init_settings


def setting_at(path: str, settings: Settings) -> Any:
    """The value of the setting at a path such as `fetch.resources.limits.cpu`."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, _field(name))
    return value
