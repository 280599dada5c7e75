"""What a pod asks for: the result of parsing its annotations."""

from typing import Any, Literal, TypeAlias

import msgspec

from webhook.fields.annotation import key_of

Follow: TypeAlias = Literal["true", "canary", "false"]


class ModelRequest(msgspec.Struct, frozen=True, cache_hash=True):
    """One model that a pod asks for. Values come from an entry of `models`, the pod's annotations, or the settings."""

    model: str
    version: str
    """The version as it was asked for: an exact version, an alias, a range or `latest`."""
    is_default_version: bool
    """Whether the version comes from the settings."""
    source: str
    strategies: tuple[str, ...]
    """The names of the strategies that may deliver the model, in order of preference."""
    is_default_strategy: bool
    """Whether the strategies come from the settings."""
    options: tuple[Any, ...]
    """The options of each of these strategies, as the strategy declares them."""
    mount_path: str | None
    """The parent of the model's folder in the containers. None if only `model_path` is asked for."""
    model_path: str | None
    """The path of the model's folder in the containers. None if it follows from `mount_path`."""
    containers: tuple[str, ...]
    """The names of the containers that get the model. Empty: all app containers."""
    env_prefix: str
    """The first part of the names of environment variables. Empty: none are set."""
    shares_env_prefix: bool
    """Whether the names also contain the model's, because the prefix is that of all models of the pod."""
    read_only: bool
    pinned_version: str | None
    """The exact version that the workload is pinned to. None if `version` is exact, or the workload is not pinned."""
    pinned_strategy: str | None
    """The strategy that the workload is pinned to."""
    path_prefix: str
    """What precedes an annotation's name in messages: the prefix, or the entry of `models`."""

    def where(self, name: str) -> str:
        """The name of an annotation of this model in messages: `…/mount-path`, or `…/models[0].mountPath`."""
        return self.path_prefix + (key_of(name) if self.path_prefix.endswith(".") else name)


class PodRequest(msgspec.Struct, frozen=True):
    """What a pod asks for. `models` is empty without annotations, and with `inject: "false"`."""

    models: tuple[ModelRequest, ...] = ()
    service_account: str | None = None
    opted_out: bool = False
    follow: Follow = "false"
    """Whether the workload is restarted when a reference means a different version: `canary` before `true`."""
    warnings: tuple[str, ...] = ()
