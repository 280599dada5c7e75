"""Where models are: a bucket, and how to access it."""

from typing import Final, Literal

from pydantic import Field

from webhook.fields.group import Group
from webhook.fields.types import KeyPrefix

DEFAULT_SOURCE: Final = "default"
"""The name of the source that the top level of the settings describes."""
_BUCKET: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$"


class SourceFields(Group):
    """The settings of a source. The top level of the settings has the same fields, for the source `default`."""

    bucket: str = Field(default="", pattern=f"({_BUCKET})|^$")
    """The bucket of the source named `default`. Empty: there is no such source; all sources are in `sources`."""
    prefix: KeyPrefix = ""
    """The key prefix of the models in the bucket. Empty: the root of the bucket."""
    layout: Literal["{model}-{version}", "{model}/{version}"] = "{model}-{version}"
    """The name of a version's folder, both in the bucket and in containers."""
    region: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """The bucket's region. Empty: the pod's AWS_REGION, which EKS sets, or s5cmd's detection."""
    endpoint_url: str = Field(default="", pattern=r"^(https?://[A-Za-z0-9._:\[\]/-]+)?$")
    """The URL of an S3-compatible store or of a VPC endpoint. Empty: the AWS endpoint of the region."""
    anonymous: bool = False
    """Do not sign requests. For public buckets."""
    requester_pays: bool = False
    """Pay for requests, as Requester Pays buckets demand."""


class Source(SourceFields):
    """A bucket with models."""

    bucket: str = Field(pattern=_BUCKET)
    """The bucket's name."""
