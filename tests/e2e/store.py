"""The S3 server with the models of the tests: moto on this machine, in the cluster, or a given one."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import yaml
from botocore.exceptions import ClientError

from tests.e2e.cluster import Cluster
from tests.support import moto_s3
from tests.support.moto_s3 import CREDENTIALS

NAMESPACE = "model-injector-e2e-s3"
_IMAGE = "motoserver/moto:5.1.4"
_PORT = 5000
KEYS = {name: CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


@dataclass(frozen=True)
class Store:
    """A bucket."""

    endpoint: str
    """The URL of the S3 server for the webhook and for pods."""
    bucket: str
    folder: Path
    """For files on their way."""
    url: str
    """The URL of the S3 server for the tests."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the source `default`."""
        return {"bucket": self.bucket, "prefix": "models", "region": "us-east-1", "endpointUrl": self.endpoint}

    def publish(self, model: str, version: str, files: Mapping[str, bytes] | None = None) -> None:
        """Publish a version as a person would, by the command line."""
        folder = self.folder / uuid4().hex
        for name, content in (files or {"weights.bin": f"{model} {version}".encode()}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        self.command("publish", str(folder), model, version)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Set an alias, by the command line."""
        self.command("catalog", "alias", "set", model, alias, version)

    def delete(self, key: str) -> None:
        """Delete an object below the prefix."""
        with _client(self.url) as client:
            client.delete_object(Bucket=self.bucket, Key=f"{self.settings['prefix']}/{key}")

    def command(self, *arguments: str, settings: Mapping[str, Any] | None = None) -> str:
        """Run model-injector on this machine, with further settings; gives what it prints."""
        config = self.folder / "settings.yaml"
        general = {**self.settings, "endpointUrl": self.url, "catalog": {"mode": "s3"}}
        config.write_text(yaml.safe_dump({**(settings or {}), **general}))
        command = [sys.executable, "-m", "webhook", *arguments, "--config", str(config)]
        env = {**os.environ, **CREDENTIALS}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[Store]:
    """An S3 server that the webhook and the cluster's pods reach, with a new bucket."""
    bucket = f"e2e-{uuid4().hex[:12]}"
    with _server(cluster, folder) as (endpoint, url), _client(url) as client:
        client.create_bucket(Bucket=bucket)
        try:
            yield Store(endpoint, bucket, folder, url)
        finally:
            with suppress(ClientError):
                for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                    for each in page.get("Contents", ()):
                        client.delete_object(Bucket=bucket, Key=each["Key"])
                client.delete_bucket(Bucket=bucket)


@contextmanager
def _client(url: str) -> Iterator[Any]:
    client: Any = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _server(cluster: Cluster, folder: Path) -> Iterator[tuple[str, str]]:
    """The URL for pods, and the URL for the tests."""
    given = os.environ.get("S3_ENDPOINT")
    if given:
        yield given, given
    elif cluster.runs_pods:
        with _in_cluster(cluster, folder) as url:
            yield f"http://s3.{NAMESPACE}.svc:{_PORT}", url
    else:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request would hide what fails
        with moto_s3.serve() as url:
            yield url, url


@contextmanager
def _in_cluster(cluster: Cluster, folder: Path) -> Iterator[str]:
    """moto in a pod, and the port of loopback that kubectl forwards to it."""
    labels = {"app": "s3"}
    container = {
        "name": "s3",
        "image": os.environ.get("S3_IMAGE", _IMAGE),
        "args": ["-H", "0.0.0.0"],  # noqa: S104 - in a pod of the cluster
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "s3", "namespace": NAMESPACE},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3", "namespace": NAMESPACE},
            "spec": {"selector": labels, "ports": [{"port": _PORT}]},
        },
    )
    try:
        cluster.kubectl("rollout", "status", "deployment/s3", "--namespace", NAMESPACE, "--timeout=240s")
        with cluster.forwarding("service/s3", _PORT, NAMESPACE, folder / "forward.log") as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
