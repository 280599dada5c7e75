"""IAM's way to decide, in moto's place, which passes over most conditions and takes `.` in a resource for any sign."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import S3IAMRequest
from moto.s3.models import s3_backends

from tests.support.moto_s3 import checking_permissions


@contextmanager
def evaluated(tags: Mapping[str, str] | None = None) -> Iterator[None]:
    """Policies hold while the context lasts, for a session with these tags."""
    session = {f"aws:PrincipalTag/{name}": value for name, value in (tags or {}).items()}

    def check(request: S3IAMRequest, resource: str) -> None:
        policies = [json.loads(each["policy_document"]) for each in _policies(request)]
        statements = [statement for policy in policies for statement in policy["Statement"]]
        keys = {**session, **_listed_prefix(request)}
        bucket, _, key = resource.partition("/")
        if not is_allowed(statements, request._action, resource, keys):
            request._raise_access_denied()
        # That an object is not there, S3 tells those alone who may list; s3:prefix is a key of listings.
        is_read = request._action == "s3:GetObject"
        if is_read and not _exists(bucket, key) and not is_allowed(statements, "s3:ListBucket", bucket, session):
            request._raise_access_denied()

    with checking_permissions(), patch.object(S3IAMRequest, "check_action_permitted", check):
        yield


def is_allowed(statements: Sequence[Mapping[str, Any]], action: str, resource: str, keys: Mapping[str, str]) -> bool:
    """Whether statements, none of which denies anything, allow it to a request with these condition keys."""
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return any(
        _matches(statement["Action"], action)
        and _matches(statement["Resource"], resource)
        and _holds(statement.get("Condition", {}), keys)
        for statement in statements
    )


def _holds(condition: Mapping[str, Mapping[str, Sequence[str]]], keys: Mapping[str, str]) -> bool:
    for operator, asked in condition.items():
        plain = operator.removesuffix("IfExists")
        assert plain in ("StringEquals", "StringLike"), operator
        for key, values in asked.items():
            if key not in keys:
                if plain == operator:
                    return False
            elif not (keys[key] in values if plain == "StringEquals" else _matches(values, keys[key])):
                return False
    return True


def _matches(patterns: Sequence[str], text: str) -> bool:
    assert not isinstance(patterns, str)
    wild = {"*": ".*", "?": "."}
    return any(
        re.fullmatch("".join(wild.get(sign) or re.escape(sign) for sign in pattern), text, re.DOTALL)
        for pattern in patterns
    )


def _policies(request: S3IAMRequest) -> Sequence[Any]:
    return request._access_key.collect_policies()


def _listed_prefix(request: S3IAMRequest) -> dict[str, str]:
    if request._action != "s3:ListBucket":
        return {}
    query = parse_qs(urlsplit(request._path).query, keep_blank_values=True)
    return {"s3:prefix": query["prefix"][0]} if "prefix" in query else {}


def _exists(bucket: str, key: str) -> bool:
    return key in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket.rpartition(":")[2]].keys
