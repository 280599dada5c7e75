"""Where models are, what is known of them, and who may use them."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import AbsolutePath, Globs, KeyPrefix, Seconds

StrategyName: TypeAlias = Literal["s3-init"]
Verification: TypeAlias = Literal["size", "sha256", "none"]
_BUCKET: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$"


class SourceFields(Group):
    """A bucket, and how it is reached and read."""

    bucket: str = Field(default="", pattern=f"({_BUCKET})|^$")
    """The bucket of the source named `default`; empty means that there is none, and `sources` has them all."""
    prefix: KeyPrefix = ""
    """The folder of the bucket under which models stand; empty is the bucket's root."""
    layout: Literal["{model}-{version}", "{model}/{version}"] = "{model}-{version}"
    """The name of a version's folder, in the bucket and in containers alike; the default is the guide's."""
    region: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """The bucket's region. Empty leaves it to the pod's own AWS_REGION, which EKS sets, and to s5cmd's detection."""
    endpoint_url: str = Field(default="", pattern=r"^(https?://[A-Za-z0-9._:\[\]/-]+)?$")
    """The endpoint of an S3-compatible store, or of a VPC endpoint; empty is AWS's own."""
    anonymous: bool = False
    """Requests are not signed: for public buckets."""
    requester_pays: bool = False
    """The reader pays for requests, as such buckets demand."""


class Source(SourceFields):
    """Where models are."""

    bucket: str = Field(pattern=_BUCKET)
    """The bucket's name."""


class DefaultSettings(Group):
    """What holds where a pod's annotations say nothing."""

    strategy: StrategyName = "s3-init"
    """How models get into pods. s3-init needs nothing but S3, and works on every node."""
    version: str = Field(default="", pattern=r"^([A-Za-z0-9@^~<>=!*][A-Za-z0-9._+,<>=!^~ *-]*)?$")
    """The version of a model that is asked for without one. Empty refuses such a pod: a version should be a choice."""
    mount_path: AbsolutePath = "/model-artifacts"
    """The folder in the containers under which models stand."""
    service_account: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The service account of pods that have none of their own; empty leaves them as they are."""
    verify: Verification = "size"
    """How a download is checked. Sizes cost nothing; sha256 reads every byte again."""


class CatalogSettings(Group):
    """What is known of models at admission."""

    mode: Literal["none", "s3"] = "none"
    """none: exact versions are taken at their word, and the webhook needs no AWS access. s3: it reads the buckets,
    knows aliases, ranges and sizes, and looks before a pod starts."""
    refresh_seconds: Annotated[Seconds, Field(le=300)] = 30
    """How often the buckets are listed: one request for each thousand versions."""
    preflight: Literal["off", "warn", "enforce"] = "warn"
    """What happens to a pod whose model is unknown, unpublished, incomplete, archived, or denied to the webhook. Where
    S3 can't be asked, it is admitted."""
    required_tag: str = Field(default="", pattern=r"^([A-Za-z0-9 +._:/@-]{1,128}=[A-Za-z0-9 +._:/@=-]{0,256})?$")
    """A tag such as published=true that a version's manifest has to carry, or it does not count as published."""
    required: bool = False
    """Not ready before every source has been listed once. Otherwise exact versions are admitted meanwhile, unchecked,
    and what has to be resolved is refused."""


class Rule(Group):
    """Who may use what. Of several, the first that fits a pod and a model decides; where none does, all is allowed.

    Names are globs: `*` stands for any signs, a slash among them, `?` for one, `[abc]` for one of these.
    """

    namespaces: Globs = ("*",)
    """Namespaces of the pods."""
    models: Globs = ("*",)
    """Names of the models."""
    strategies: Globs = ("*",)
    """Ways into the pod."""
    service_accounts: Globs = ("*",)
    """Service accounts that the pods run as, `default` where they name none."""
    allow: bool = True
    """Whether such a pod may have such a model."""
    message: str = Field(default="", max_length=300)
    """What a person who is refused should know, such as whom to ask."""
