"""Where models are: a bucket, and how to access it."""

import re
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from webhook.fields.group import Group
from webhook.fields.types import KeyPrefix

DEFAULT_SOURCE: Final = "default"
"""The name of the source that the top level of the settings describes."""
_BUCKET: Final = (
    r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$"
    r"|^arn:aws[a-z-]*:s3:[a-z0-9-]+:\d{12}:accesspoint[:/][a-z0-9][a-z0-9-]{1,48}[a-z0-9]$"
)
_ENDPOINT: Final = r"^(https?://([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?)?$"
_ADDRESS: Final = re.compile(r"(s3://|arn:[^:]*:s3:::)?([A-Za-z0-9._-]+)(?:/(.*))?")
"""What people have in place of a bucket's name: with its scheme, as an ARN, or with a prefix."""
_UNSUPPORTED: Final = {
    r"--x-s3$": "a directory bucket of S3 Express One Zone, whose sessions s5cmd does not support",
    r"--xa-s3$": "an access point of a directory bucket, whose sessions s5cmd does not support",
    r"--op-s3$|:s3-outposts:": "an access point of S3 on Outposts, whose requests s5cmd does not sign",
    r"\.mrap$": "a multi-region access point, whose requests (SigV4A) s5cmd does not sign",
    r":s3-object-lambda:": "an access point of Object Lambda, whose requests s5cmd does not sign",
}
"""By a pattern of the name, which AWS reserves for it."""


class SourceFields(Group):
    """The settings of a source. The top level of the settings has the same fields, for the source `default`."""

    bucket: str = Field(default="", pattern=f"({_BUCKET})|^$")
    """The bucket of the source named `default`, or the ARN or alias of an access point. Empty: there is no such source;
    all sources are in `sources`."""
    prefix: KeyPrefix = ""
    """The key prefix of the models in the bucket. Empty: the root of the bucket."""
    layout: Literal["{model}-{version}", "{model}/{version}"] = "{model}-{version}"
    """The name of a version's folder, both in the bucket and in containers."""
    region: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """The bucket's region. Empty: the pod's AWS_REGION, which EKS sets, or s5cmd's detection."""
    endpoint_url: str = Field(default="", pattern=_ENDPOINT)
    """The URL of an S3-compatible store or of a VPC endpoint. Empty: the AWS endpoint of the region."""
    anonymous: bool = False
    """Do not sign requests. For public buckets."""
    requester_pays: bool = False
    """Pay for requests, as Requester Pays buckets demand."""

    @field_validator("bucket", mode="before")
    @classmethod
    def _bucket_is_supported(cls, bucket: object) -> object:
        if not isinstance(bucket, str):
            return bucket
        for pattern, what in _UNSUPPORTED.items():
            if re.search(pattern, bucket):
                raise ValueError(f"{bucket!r} is {what}; use a bucket or an access point of another kind")
        if (address := _ADDRESS.fullmatch(bucket)) and address[2] != bucket:
            prefix = (address[3] or "").strip("/")
            raise ValueError(
                f"{bucket!r} is more than a bucket's name; set bucket to {address[2]!r}"
                + (f", and prefix to {prefix!r}" if prefix else "")
            )
        # s5cmd takes the first slash of a URI for the end of the bucket. AWS allows both spellings.
        return bucket.replace(":accesspoint/", ":accesspoint:")

    @model_validator(mode="after")
    def _access_point_is_in_the_region(self) -> Self:
        if found := re.match(r"arn:[^:]*:s3:([^:]*):", self.bucket):
            if self.region != found[1]:
                raise ValueError(
                    f"the access point {self.bucket} is in {found[1]}, and region is {self.region!r}: change it"
                )
            if self.endpoint_url:
                raise ValueError(
                    f"the access point {self.bucket} cannot be reached by an endpointUrl: leave that out, or use the "
                    "access point's alias"
                )
        return self


class Source(SourceFields):
    """A bucket with models."""

    bucket: str = Field(pattern=_BUCKET)
    """The bucket's name, or the ARN or alias of an access point."""
