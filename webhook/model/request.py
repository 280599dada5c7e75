"""What a pod asks for, once its annotations are read."""

from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from webhook.settings import StrategyName, Verification

Medium: TypeAlias = Literal["disk", "memory"]


def key_of(name: str) -> str:
    """An annotation's name as an entry of `models` has it: `mountPath`."""
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)


class ModelRequest(msgspec.Struct, frozen=True):
    """One model, as asked for: annotations, then `models` entry, then settings. Quantities keep the user's spelling."""

    model: str
    version: str
    """As it was asked for: exact, an alias, a range, `latest`."""
    is_default_version: bool
    """Whether nobody but the settings asked for that."""
    source: str
    strategy: StrategyName
    mount_path: str | None
    """The folder under which the model's own folder stands; None where only `model_path` is asked for."""
    model_path: str | None
    containers: tuple[str, ...]
    """Names of the chosen containers; empty means every container of the application."""
    read_only: bool
    volume: str | None
    """A volume of the pod's own; None for one of ours."""
    medium: Medium
    size_limit: Decimal | None
    """Bytes."""
    verify: Verification
    timeout: int
    """Seconds."""
    fetch_cpu_request: str | None
    fetch_cpu_limit: str | None
    fetch_memory_request: str | None
    fetch_memory_limit: str | None
    pinned: str | None
    """The exact version that its workload was pinned to, where the version asked for is none."""
    place: str
    """What a message puts before the name of an annotation: the prefix, or the entry of `models`."""

    def where(self, name: str) -> str:
        """How a message names the annotation `name` of this model: `…/mount-path`, or `…/models[0].mountPath`."""
        return self.place + (key_of(name) if self.place.endswith(".") else name)


class PodRequest(msgspec.Struct, frozen=True):
    """What a pod asks for. No models: it does not ask for any, or has `inject: "false"` (then `opted_out`)."""

    models: tuple[ModelRequest, ...] = ()
    service_account: str | None = None
    opted_out: bool = False
    warnings: tuple[str, ...] = ()
