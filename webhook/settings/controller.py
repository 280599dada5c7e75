"""Settings of `model-injector controller`: which versions it loads, and what else it does."""

import re
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from webhook.fields.group import Group
from webhook.fields.parsers import IMAGE_REPOSITORY, REFERENCE, SUBDOMAIN
from webhook.fields.types import Globs, Lifetime, Pause, Quantity, Seconds, SourceName
from webhook.model.source import DEFAULT_SOURCE

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MODEL: Final = "{model}"


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not the name of a time zone, such as Europe/Berlin") from error
    return value


def _repository(value: str) -> str:
    if value and not re.fullmatch(IMAGE_REPOSITORY, value.replace(_MODEL, "m"), re.ASCII):
        raise ValueError(f"{value!r} is not REGISTRY/NAME, such as registry.example.com/models/{_MODEL}")
    return value


class Load(Group):
    """Versions that are made ready in the cluster as soon as they are published.

    The first entry of a strategy that matches a version decides about it.
    """

    source: SourceName = DEFAULT_SOURCE
    """The source of the models."""
    models: Globs = ("*",)
    """Names of the models, as globs."""
    versions: str = Field(default="*", pattern=f"^{REFERENCE}$")
    """Which versions: a range such as `>=1.2`, `latest` for the newest, an alias such as `@champion` for what it means
    now, or one exact version. `*`: all releases."""
    strategy: Literal["s3-mount", "shared-volume", "oci-image"]
    """The strategy that delivers them."""
    namespaces: Globs = ("*",)
    """Namespaces that get a claim, as globs. With `*`, all but those of Kubernetes. oci-image needs none."""
    storage_class: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """shared-volume: the StorageClass of the claims. Empty: that of the strategy."""
    capacity: Quantity | None = None
    """shared-volume: the most storage that the claims of this entry may request together. A version that does not fit
    is not loaded, and waits until others are removed."""
    image: Annotated[str, AfterValidator(_repository)] = ""
    """oci-image: the repository that the image is pushed to: registry.example.com/models/{model}."""

    @model_validator(mode="after")
    def _fits_its_strategy(self) -> Self:
        if self.strategy == "oci-image" and not self.image:
            raise ValueError("oci-image needs image: set the repository that images are pushed to")
        return self


class MaintenanceWindow(Group):
    """A time of the week in which rollouts may start."""

    days: Annotated[tuple[Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ...], Field(min_length=1)] = _DAYS
    """The days on which the window begins."""
    start: str = Field(default="00:00", pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")
    """When the window begins, as HH:MM."""
    duration: Annotated[Seconds, Field(le=24 * 3600)] = 24 * 3600
    """How long the window lasts. At most a day."""
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    """The time zone of `days` and `start`, such as Europe/Berlin."""


class RolloutSettings(Group):
    """Restarts of workloads with the annotation `follow`, when their reference means a different version."""

    enabled: bool = False
    """Whether workloads are restarted."""
    max_concurrent: int = Field(default=1, ge=1, le=1000)
    """How many workloads may be rolling out at the same time because of a new version. Those that are paused or scaled
    to zero meanwhile do not count."""
    pause: Annotated[Pause, Field(le=24 * 3600)] = 60
    """How long after the end of a rollout the next may start, and how long a canary runs before others follow."""
    deadline: Seconds = 1800
    """How long a rollout may take until the workload is available. After that, it is undone. Time in which the workload
    is paused or scaled to zero does not count."""
    maintenance: tuple[MaintenanceWindow, ...] = Field(default=(), max_length=100)
    """When rollouts may start. Empty: always."""


class CleaningSettings(Group):
    """The removal of claims, Jobs and volumes of versions that nothing uses."""

    enabled: bool = False
    """Whether unused versions are removed. `model-injector cleanup --dry-run` shows which those are."""
    interval: Annotated[Seconds, Field(ge=60)] = 3600
    """How often unused versions are looked for."""
    retention: Lifetime = 30 * 24 * 3600
    """How old a version has to be, counted from its publication, before it is removed."""
    keep: int = Field(default=3, ge=1, le=1000)
    """How many versions of each model are kept in any case: the newest."""
    s3_tag: str = Field(default="", pattern=r"^([A-Za-z0-9 +._:/@-]{1,128}=[A-Za-z0-9 +._:/@=-]{0,256})?$")
    """A tag, such as model-injector=expired, that the objects of removed versions get in S3, for a lifecycle rule of
    the bucket to delete them by. Set it only if nothing outside of this cluster reads the prefix. Empty: S3 is not
    changed."""


class ProgressSettings(Group):
    """The progress of downloads in metrics and in events of the pods."""

    enabled: bool = False
    """Whether the controller reads the logs of init containers that download."""


class WithdrawalSettings(Group):
    """Events about versions that are withdrawn."""

    enabled: bool = False
    """Whether each pod that runs a withdrawn version gets an event that says so."""


class PushSettings(Group):
    """The Jobs that push images, for loads by oci-image. The chart sets most of it."""

    image: str = ""
    """The image of model-injector."""
    service_account: str = Field(default="default", pattern=f"^{SUBDOMAIN}$")
    """The service account of the Jobs. It needs to read the bucket, and to write to .images and .layers."""
    config_map: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The ConfigMap with these settings, in the namespace of the controller."""
    docker_config_secret: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """A Secret of type kubernetes.io/dockerconfigjson with the login to the registry. Empty: none."""
    plain_http: bool = False
    """Whether the registry is reached without TLS."""


class ControllerSettings(Group):
    """The process `model-injector controller`."""

    namespace: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The namespace of its Lease and of the Jobs that push images. The chart sets it. Empty: that of the process."""
    lease: str = Field(default="model-injector-controller", pattern=f"^{SUBDOMAIN}$")
    """The name of the Lease by which one of the replicas is elected."""
    max_concurrent_jobs: int = Field(default=10, ge=1, le=1000)
    """How many of its Jobs, which load volumes and push images, may run at the same time. Newer versions come first."""
    push: PushSettings = PushSettings()
    """The Jobs that push images."""
    rollouts: RolloutSettings = RolloutSettings()
    """Restarts of workloads that follow a version."""
    cleaning: CleaningSettings = CleaningSettings()
    """The removal of what nothing uses."""
    progress: ProgressSettings = ProgressSettings()
    """The progress of downloads."""
    withdrawals: WithdrawalSettings = WithdrawalSettings()
    """Events about versions that are withdrawn."""
