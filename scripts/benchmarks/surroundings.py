"""What a webhook needs around it: an S3 server with catalogs, and as much of an API server as it talks to.

Both run in a process of their own, so that they take no time from the load generator's.
"""

import base64
import logging
import multiprocessing
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support import moto_s3
from tests.support.api_server import ApiServer, running_api_server
from tests.support.webhook import HOST, Webhook, running_webhook
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name
from webhook.model.source import Source
from webhook.strategies.node_cache import DRIVER

TOKEN: Final = "a-token"  # noqa: S105 - of the user of the stand-in
NAMESPACE: Final = "apps"
PREFIX: Final = "model-artifacts"
VERSION: Final = "1.0.5"
"""A version that each bucket has, and that has claims for the strategies which need one."""
_NAME: Final = "model-injector"
_CONFIGURATION: Final = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{_NAME}"
_CLAIMS: Final = "/api/v1/persistentvolumeclaims"
_DRIVERS: Final = "/apis/storage.k8s.io/v1/csidrivers"
_READY_SECONDS: Final = 60


@dataclass(frozen=True)
class Surroundings:
    """The servers' addresses. `buckets` are names by the number of versions."""

    s3: str
    buckets: dict[int, str]
    kubeconfig: Path
    api: str


@dataclass(frozen=True)
class Started:
    """A webhook that is ready, and the seconds from the start of its process until then."""

    webhook: Webhook
    trust: ssl.SSLContext
    seconds: float


@contextmanager
def surroundings(folder: Path, catalogs: Sequence[int]) -> Iterator[Surroundings]:
    """Run both servers, with a bucket for each number of versions."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(folder, catalogs, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, catalogs: Sequence[int], pipe: Connection) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    with ExitStack() as stack:
        s3 = stack.enter_context(moto_s3.serve())
        api = stack.enter_context(running_api_server())
        buckets = {count: _bucket(s3, count) for count in catalogs}
        _fill(api, [Source(bucket=name, prefix=PREFIX, endpoint_url=s3) for name in buckets.values()])
        pipe.send(Surroundings(s3, buckets, api.kubeconfig(folder), f"http://127.0.0.1:{api.port}"))
        pipe.recv()  # the end of this process


def _bucket(s3: str, versions: int) -> str:
    bucket = moto_s3.make_bucket(s3)
    for number in range(versions):
        bucket.put(f"{PREFIX}/my-model-1.{number // 100}.{number % 100}/model.safetensors", b"weights")
    return bucket.name


def _fill(api: ApiServer, sources: Sequence[Source]) -> None:
    client = {"service": {"name": _NAME, "namespace": _NAME}}
    api.put(_CONFIGURATION, {"webhooks": [{"name": "pods.model-injector.io", "clientConfig": client}]})
    api.put("/version", {"major": "1", "minor": "36", "gitVersion": "v1.36.2"})
    api.users, api.rights = {TOKEN: ("ann", "")}, {("ann", NAMESPACE)}
    drivers = ("s3.csi.aws.com", DRIVER)
    api.lists[_DRIVERS] = [{"metadata": {"name": name}, "spec": {}} for name in drivers]
    api.lists[_CLAIMS] = [
        _claim(claim_name(strategy, Artifact("my-model", VERSION, source)))
        for source in sources
        for strategy in ("s3-mount", "shared-volume", "node-image")
    ]


def _claim(name: str) -> dict[str, Any]:
    labels = {"model-injector.io/model": "my-model", "model-injector.io/state": "ready"}
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "labels": labels}
    return {"metadata": metadata, "spec": {"volumeName": f"pv-{name}"}, "status": {"phase": "Bound"}}


@contextmanager
def everything_on(folder: Path, around: Surroundings, versions: int, wrapper: Sequence[str] = ()) -> Iterator[Started]:
    """Run a webhook with all features on, by the command `wrapper`, and the bucket with that many versions."""
    folder.mkdir()
    settings = {
        "bucket": around.buckets[versions],
        "prefix": PREFIX,
        "endpointUrl": around.s3,
        "region": "us-east-1",
        "catalog": {"mode": "s3", "preflight": "enforce"},
        "inventory": {"enabled": True},
        "rules": [{"namespaces": ["other-*"], "allow": False}],
        "certificates": {
            "mode": "auto",
            "hosts": [HOST],
            "webhookConfiguration": _NAME,
            "secret": f"{_NAME}-ca",
            "namespace": _NAME,
        },
        "strategies": {
            "node-image": {"nodeSelector": {"models.example.com/set": "november"}},
            "oci-image": {"image": "registry.example.com/models/{model}:{version}"},
            "volume": {"source": {"persistentVolumeClaim": {"claimName": "models"}}},
        },
    }
    env = {**moto_s3.CREDENTIALS, "KUBECONFIG": str(around.kubeconfig)}
    started = time.perf_counter()
    with running_webhook(folder, settings, env=env, wrapper=wrapper) as webhook:
        while (answer := webhook.ops("/readyz")).status_code != 200:
            if time.perf_counter() > started + _READY_SECONDS:
                raise RuntimeError(f"the webhook is not ready: {answer.text}")
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        yield Started(webhook, _trust(around), seconds)


def _trust(around: Surroundings) -> ssl.SSLContext:
    """Trust in the authority of the replicas, which is the caBundle of the API server."""
    configuration = httpx.get(around.api + _CONFIGURATION, trust_env=False).json()
    bundle = base64.b64decode(configuration["webhooks"][0]["clientConfig"]["caBundle"])
    return ssl.create_default_context(cadata=bundle.decode())
