"""What a pod asks for, once its annotations are parsed."""

from typing import Any

import msgspec

from webhook.fields.annotation import key_of


class ModelRequest(msgspec.Struct, frozen=True, cache_hash=True):
    """One model that a pod asks for: by its annotations, else an entry of `models`, else by the settings."""

    model: str
    version: str
    """The version as it was asked for: exact, an alias, a range, `latest`."""
    is_default_version: bool
    """Whether the version comes from the settings."""
    source: str
    strategies: tuple[str, ...]
    """The names of the strategies that may deliver it, in the order of preference."""
    is_default_strategy: bool
    """Whether the strategies come from the settings."""
    options: tuple[Any, ...]
    """The options of each of these strategies, as the strategy declares them."""
    mount_path: str | None
    """The folder under which the model's own folder stands. None where only `model_path` is asked for."""
    model_path: str | None
    """The path of the model's own folder. None where it follows from `mount_path`."""
    containers: tuple[str, ...]
    """The names of the containers that get it. Empty: every container of the application."""
    read_only: bool
    pinned_version: str | None
    """The exact version that its workload is pinned to. None where `version` is exact, or nothing is pinned."""
    pinned_strategy: str | None
    """The strategy that its workload is pinned to."""
    place: str
    """What a message puts before the name of an annotation: the prefix, or the entry of `models`."""

    def where(self, name: str) -> str:
        """How a message names the annotation `name` of this model: `…/mount-path`, or `…/models[0].mountPath`."""
        return self.place + (key_of(name) if self.place.endswith(".") else name)


class PodRequest(msgspec.Struct, frozen=True):
    """What a pod asks for. Without models it asks for nothing, or opts out with `inject: "false"`."""

    models: tuple[ModelRequest, ...] = ()
    service_account: str | None = None
    opted_out: bool = False
    warnings: tuple[str, ...] = ()
