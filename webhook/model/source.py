"""Where models are: a bucket, and how it is reached and read."""

from typing import Final, Literal

from pydantic import Field

from webhook.fields.group import Group
from webhook.fields.types import KeyPrefix

DEFAULT_SOURCE: Final = "default"
"""The name of the source that the settings' top level describes."""
_BUCKET: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$"


class SourceFields(Group):
    """The settings of a source; the settings' top level has them, too."""

    bucket: str = Field(default="", pattern=f"({_BUCKET})|^$")
    """The bucket of the source named `default`. Empty: there is no such source, and `sources` names all of them."""
    prefix: KeyPrefix = ""
    """The folder of the bucket under which models stand; empty is the bucket's root."""
    layout: Literal["{model}-{version}", "{model}/{version}"] = "{model}-{version}"
    """The name of a version's folder, in the bucket and in containers alike."""
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
