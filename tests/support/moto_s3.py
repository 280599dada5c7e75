"""moto's S3 server, for what rclone has not: odd keys, storage classes, IAM. It checks no signature until told to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import boto3
from moto import settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer
from werkzeug.serving import WSGIRequestHandler

_REGION = "us-east-1"
_ROOT = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "root",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-root",  # it checks no signature until told to
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment of a client that moto takes for its root, and that finds no other credentials on this machine."""


@dataclass(frozen=True)
class MotoBucket:
    """A bucket of a server at `url`."""

    url: str
    name: str

    def put(self, key: str, body: bytes, storage_class: str = "STANDARD") -> None:
        """Add an object of any key: not over HTTP, for clients tidy up keys with `..` in them."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(self.name, key, body, storage=storage_class)

    def objects(self) -> dict[str, bytes]:
        """Every object."""
        keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_bucket(self.name).keys
        return {key: stored.value for key, stored in keys.items()}


@contextmanager
def serve() -> Iterator[str]:
    """Serve S3 and IAM on a free port of loopback, from a thread; gives the URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    at_once = patch.object(WSGIRequestHandler, "disable_nagle_algorithm", new=True)  # else a body waits for 40 ms
    with patch.object(S3Response, "put_object", _put_object), at_once:
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


_put, _one_at_a_time = S3Response.put_object, Lock()


def _put_object(response: S3Response) -> Any:
    """Compare and write in one step, as S3 does: moto's threads would write over each other in between."""
    with _one_at_a_time:
        return _put(response)


def make_bucket(url: str, name: str = "") -> MotoBucket:
    """A new bucket, of that name where one is given."""
    bucket = MotoBucket(url, name or f"models-{uuid4().hex}")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(bucket.name, _REGION)
    return bucket


def tag(bucket: MotoBucket, key: str, tags: dict[str, str]) -> None:
    """Give an object these tags, and no others."""
    client: Any = boto3.client("s3", endpoint_url=bucket.url, region_name=_REGION, **_ROOT)
    tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
    client.put_object_tagging(Bucket=bucket.name, Key=key, Tagging={"TagSet": tag_set})
    client.close()


def make_user(url: str, *actions: str) -> dict[str, str | None]:
    """A user of IAM who may do these actions and nothing else; gives the environment with its keys."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {**make_user_with(url, {"Version": "2012-10-17", "Statement": [statement]})}


def make_user_with(url: str, policy: dict[str, Any]) -> dict[str, str]:
    """A user of IAM who has this policy and no other; gives the environment with its keys."""
    iam: Any = boto3.client("iam", endpoint_url=url, region_name=_REGION, **_ROOT)
    user = f"user-{uuid4().hex}"
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="only", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.close()
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@contextmanager
def checking_permissions() -> Iterator[None]:
    """Signatures and IAM's policies hold while the context lasts."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    try:
        yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
