"""IAM policies: the least that pods which fetch models need, and the webhook that reads the catalog.

Pure, but for the table of AWS' partitions that botocore brings along. `*` in a pattern of IAM also crosses slashes.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from string import digits
from typing import Any, Final, TypeAlias

import msgspec

from webhook.catalog.bucket.folders import ALIASES
from webhook.catalog.bucket.manifest import MANIFEST
from webhook.model.source import Source
from webhook.settings import Settings

Policy: TypeAlias = dict[str, Any]
"""A policy's document, as JSON has it."""
_PREFIX: Final = "s3:prefix"
_NUMBERS: Final = tuple(f"{first}{digit}*" for first in ("", "v") for digit in digits)
"""How versions with an order begin. IAM knows no character classes, so there is a pattern for each beginning."""


class Session(msgspec.Struct, frozen=True):
    """Whose sessions a policy is for, as EKS Pod Identity's session tags tell. What is empty is not asked."""

    cluster: str = ""
    namespaces: Sequence[str] = ()
    service_account: str = ""

    def condition(self, kind: str) -> dict[str, dict[str, list[str]]]:
        """The condition; `kind` is `PrincipalTag` once a role is assumed, `RequestTag` where it is to be."""
        tags = {
            "eks-cluster-name": [self.cluster],
            "kubernetes-namespace": list(self.namespaces),
            "kubernetes-service-account": [self.service_account],
        }
        asked = {f"aws:{kind}/{tag}": values for tag, values in tags.items() if any(values)}
        return {"StringEquals": asked} if asked else {}


def pod_policy(source: Source, models: Iterable[tuple[str, str]], session: Session) -> Policy:
    """What the init container needs for models, each with an exact version, or none for all of them.

    It lists a version's folder (ListObjectsV2 with the folder as prefix), and gets the objects in it.
    """
    keys = [_key(source, folder, "*") for model, version in models for folder in _folders(source, model, version)]
    return _policy(
        _list(source, {"StringLike": {_PREFIX: keys}}, session),
        _allow("s3:GetObject", [_objects(source, key) for key in keys], session.condition("PrincipalTag")),
    )


def webhook_policy(sources: Iterable[Source], *, reads_tags: bool, session: Session) -> Policy:
    """What the webhook needs to read the catalogs of `sources`: all names under the prefix, and no file of a model."""
    sources = list(sources)
    condition = session.condition("PrincipalTag")
    manifests = [_objects(source, _key(source, "*", MANIFEST)) for source in sources]
    aliases = [_objects(source, _key(source, ALIASES, "*.json")) for source in sources]
    return _policy(
        *(_list(source, _below_prefix(source), session) for source in sources),
        _allow("s3:GetObject", [*manifests, *aliases], condition),
        *([_allow("s3:GetObjectTagging", manifests, condition)] if reads_tags else []),
    )


def trust_policy(session: Session) -> Policy:
    """Who may assume the role: EKS Pod Identity, for these sessions."""
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            **_condition(session.condition("RequestTag")),
        }
    )


def sources_to_sign_for(settings: Settings) -> list[Source]:
    """The sources that ask who reads them."""
    return [source for source in settings.all_sources.values() if not source.anonymous]


@cache
def partition(region: str) -> str:
    """The AWS partition of a region: `aws`, `aws-cn`, `aws-us-gov`; `aws` for an unknown region."""
    from boto3.session import Session as Regions  # noqa: PLC0415 - what other commands need not wait for
    from botocore.exceptions import UnknownRegionError  # noqa: PLC0415

    try:
        return str(Regions().get_partition_for_region(region)) if region else "aws"
    except UnknownRegionError:
        return "aws"


def _folders(source: Source, model: str, version: str) -> list[str]:
    """Patterns of the folders of a model's versions.

    Where model and version stand in one name, `my-model-*` would be the folders of `my-model-large`, too.
    """
    anything = ("*",) if source.layout == "{model}/{version}" else _NUMBERS
    return [source.layout.format(model=model, version=each) for each in ([version] if version else anything)]


def _below_prefix(source: Source) -> dict[str, dict[str, list[str]]]:
    """Listings of all that is under a source's prefix."""
    return {"StringLike": {_PREFIX: [f"{source.prefix}/*"]}} if source.prefix else {}


def _list(source: Source, condition: Mapping[str, Any], session: Session) -> dict[str, Any]:
    conditions = {**condition, **session.condition("PrincipalTag")}
    return _allow("s3:ListBucket", [f"arn:{partition(source.region)}:s3:::{source.bucket}"], conditions)


def _key(source: Source, *parts: str) -> str:
    return "/".join(part for part in (source.prefix, *parts) if part)


def _objects(source: Source, key: str) -> str:
    return f"arn:{partition(source.region)}:s3:::{source.bucket}/{key}"


def _allow(action: str, resources: Sequence[str], condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [action], "Resource": list(resources), **_condition(condition)}


def _condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"Condition": dict(condition)} if condition else {}


def _policy(*statements: Mapping[str, Any]) -> Policy:
    return {"Version": "2012-10-17", "Statement": [dict(each) for each in statements]}
