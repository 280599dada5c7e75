"""The least IAM policies for pods that download models, and for the webhook that reads the catalog.

Note that `*` in a pattern of IAM also matches slashes.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from string import digits
from typing import Any, Final, TypeAlias

import msgspec

from webhook.catalog.bucket.folders import ALIASES, IMAGES, WITHDRAWN
from webhook.catalog.bucket.manifest import MANIFEST
from webhook.errors import InvalidInput
from webhook.model.source import Source
from webhook.settings import Settings

Policy: TypeAlias = dict[str, Any]
"""A policy document (JSON)."""
_PREFIX: Final = "s3:prefix"
_NUMBERS: Final = tuple(f"{first}{digit}*" for first in ("", "v") for digit in digits)
"""Patterns that ordered versions match. One per first digit, because IAM's patterns have no character classes."""


class Session(msgspec.Struct, frozen=True):
    """The sessions that a policy applies to, by the session tags of EKS Pod Identity. Empty fields match all."""

    cluster: str = ""
    namespaces: Sequence[str] = ()
    service_account: str = ""

    def condition(self, kind: str) -> dict[str, dict[str, list[str]]]:
        """The policy's condition. `kind` is `PrincipalTag`, or `RequestTag` in a trust policy."""
        tags = {
            "eks-cluster-name": [self.cluster],
            "kubernetes-namespace": list(self.namespaces),
            "kubernetes-service-account": [self.service_account],
        }
        required = {f"aws:{kind}/{tag}": values for tag, values in tags.items() if any(values)}
        return {"StringEquals": required} if required else {}


def pod_policy(source: Source, models: Iterable[tuple[str, str]], session: Session) -> Policy:
    """The policy of the init container, for pairs of model and exact version. An empty version stands for all.

    It allows listing a version's folder (ListObjectsV2 with that prefix), and getting its objects.
    """
    keys = [_key(source, folder, "*") for model, version in models for folder in _folders(source, model, version)]
    return _policy(
        _list(source, {"StringLike": {_PREFIX: keys}}, session),
        _allow("s3:GetObject", [_objects(source, key) for key in keys], session.condition("PrincipalTag")),
    )


def webhook_policy(sources: Iterable[Source], *, reads_tags: bool, session: Session) -> Policy:
    """The policy of the webhook: list the keys of `sources`, read manifests, and what the catalog records of versions.

    It cannot read model files.
    """
    sources = list(sources)
    condition = session.condition("PrincipalTag")
    manifests = [_objects(source, _key(source, "*", MANIFEST)) for source in sources]
    folders = (ALIASES, IMAGES, WITHDRAWN)
    records = [_objects(source, _key(source, folder, "*.json")) for folder in folders for source in sources]
    return _policy(
        *(_list(source, _below_prefix(source), session) for source in sources),
        _allow("s3:GetObject", [*manifests, *records], condition),
        *([_allow("s3:GetObjectTagging", manifests, condition)] if reads_tags else []),
    )


def trust_policy(session: Session) -> Policy:
    """The trust policy of a role: EKS Pod Identity may assume it for these sessions."""
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            **_condition(session.condition("RequestTag")),
        }
    )


def sources_to_sign_for(settings: Settings) -> list[Source]:
    """The sources whose requests are signed."""
    return [source for source in settings.all_sources.values() if not source.anonymous]


@cache
def partition(region: str) -> str:
    """The AWS partition of a region: `aws`, `aws-cn`, `aws-us-gov`; `aws` for an unknown region."""
    from boto3.session import Session as Regions  # noqa: PLC0415 - slow, and other commands do not need it
    from botocore.exceptions import UnknownRegionError  # noqa: PLC0415

    try:
        return str(Regions().get_partition_for_region(region)) if region else "aws"
    except UnknownRegionError:
        return "aws"


def _folders(source: Source, model: str, version: str) -> list[str]:
    """Patterns of the folders of a model's versions.

    With the layout `{model}-{version}`, `my-model-*` would also match the folders of `my-model-large`.
    """
    all_versions = ("*",) if source.layout == "{model}/{version}" else _NUMBERS
    return [source.layout.format(model=model, version=pattern) for pattern in ([version] if version else all_versions)]


def _below_prefix(source: Source) -> dict[str, dict[str, list[str]]]:
    """The condition that restricts listings to a source's prefix."""
    return {"StringLike": {_PREFIX: [f"{source.prefix}/*"]}} if source.prefix else {}


def _list(source: Source, condition: Mapping[str, Any], session: Session) -> dict[str, Any]:
    conditions = {**condition, **session.condition("PrincipalTag")}
    return _allow("s3:ListBucket", [_bucket(source)], conditions)


def _key(source: Source, *parts: str) -> str:
    return "/".join(part for part in (source.prefix, *parts) if part)


def _objects(source: Source, key: str) -> str:
    return f"{_bucket(source)}{'/object' if source.bucket.startswith('arn:') else ''}/{key}"


def _bucket(source: Source) -> str:
    """The ARN of a bucket or access point. Raises InvalidInput for an alias, which IAM does not know."""
    if source.bucket.startswith("arn:"):
        return source.bucket.replace(":accesspoint:", ":accesspoint/")
    if source.bucket.endswith("-s3alias"):
        raise InvalidInput(
            f"{source.bucket} is the alias of an access point, and IAM policies do not match aliases; set bucket to "
            "the ARN of the access point"
        )
    return f"arn:{partition(source.region)}:s3:::{source.bucket}"


def _allow(action: str, resources: Sequence[str], condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [action], "Resource": list(resources), **_condition(condition)}


def _condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"Condition": dict(condition)} if condition else {}


def _policy(*statements: Mapping[str, Any]) -> Policy:
    return {"Version": "2012-10-17", "Statement": [dict(statement) for statement in statements]}
