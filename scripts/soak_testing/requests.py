"""The requests of a soak, and the answers that each may get.

The answers come from the same pure functions as the webhook's, run here once while nothing is wrong.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.reviews import review
from webhook.admission.decide import inject
from webhook.admission.pinning import pin
from webhook.admission.review import decode, encode_response, respond
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.live import BlockingCatalog, settle
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import VersionKey
from webhook.kubernetes import pod
from webhook.settings import Settings

JSON = dict[str, Any]
BUCKET, PREFIX = "my-ml-bucket", "model-artifacts"
_DEPLOYMENT = {"group": "apps", "version": "v1", "kind": "Deployment"}


@dataclass(frozen=True)
class Answer:
    """What is compared of an answer. `patch` is base64."""

    allowed: bool
    patch: str | None


@dataclass(frozen=True)
class Case:
    """A request, and its answer. `unchecked` is the answer while S3 does not confirm the version in time."""

    name: str
    body: bytes
    answer: Answer
    unchecked: Answer

    def named(self, number: int) -> bytes:
        """The body for another name of the pod: the webhook remembers the answers about pods that are alike."""
        return self.body.replace(b'"app-"', b'"app-%d-"' % number)


def make_bucket(root: Path) -> None:
    """Write the bucket of a soak into a folder: three versions of one model, one of another, and an alias."""
    for model, version in (("my-model", "1.2.3"), ("my-model", "1.2.4"), ("my-model", "2.0.0"), ("encoder", "1.0.0")):
        folder = root / BUCKET / PREFIX / f"{model}-{version}"
        folder.mkdir(parents=True)
        for index in range(3):
            (folder / f"part-{index}.safetensors").write_bytes(b"w" * 1000 * (index + 1))
    aliases = root / BUCKET / PREFIX / ".aliases" / "my-model.json"
    aliases.parent.mkdir()
    aliases.write_text('{"champion": "1.2.3"}')


def cases(settings: Settings) -> tuple[Case, ...]:
    """All requests. Reads the bucket; raises CatalogError."""
    catalog = S3Catalog(settings)
    live, silent = BlockingCatalog(catalog, ["default"], needs_s3=True), _Silent(settings)
    made = []
    for name, body in _bodies().items():
        answers = [asyncio.run(_answer(body, settings, each)) for each in (silent, live)]
        made.append(Case(name, body, answers[1], answers[0]))
    live.close()
    silent.close()
    return tuple(made)


class _Silent(BlockingCatalog):
    """A catalog that has its listing, and whose lookups S3 does not answer."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(S3Catalog(settings), ["default"], needs_s3=True)

    async def look_up(self, keys: Sequence[VersionKey], seconds: float) -> None:  # noqa: ARG002
        for key in keys:
            self.catalog.cache(key, VersionStatus("unreachable"))


def answer_of(body: bytes) -> Answer:
    """What is compared of an AdmissionReview. Raises ValueError or KeyError if it is none."""
    response = json.loads(body)["response"]
    return Answer(response["allowed"], response.get("patch"))


async def _answer(body: bytes, settings: Settings, live: BlockingCatalog) -> Answer:
    request = decode(body)
    if request.creates_a_pod:
        result = await settle(partial(inject, pod.decode(request.object), request.namespace, settings), live)
    else:
        result = await settle(partial(pin, request.decode_workload(), request.namespace, settings), live)
    return answer_of(respond(request.uid, encode_response(result)))


def _bodies() -> dict[str, bytes]:
    several = "[{model: my-model, version: ^1.0}, {model: encoder, version: 1.0.0, mountPath: /encoders}]"
    pods = {
        "exact version": _pod(model="my-model", version="1.2.3"),
        "alias": _pod(model="my-model", version="@champion"),
        "range": _pod(model="my-model", version="^1.2"),
        "latest": _pod(model="my-model", version="latest"),
        "several models": _pod(models=several),
        "not annotated": _pod(),
        "invalid annotation": _pod(model="my-model", version="1.2.3", timeout="soon"),
        "without a version": _pod(model="my-model"),
    }
    made = {name: json.dumps(review(each)).encode() for name, each in pods.items()}
    return {**made, "deployment": json.dumps(_deployment()).encode()}


def _pod(**annotations: str) -> JSON:
    named = {f"model-injector.io/{name}": value for name, value in annotations.items()}
    container = {"name": "app", "image": "app:1", "env": [{"name": "PORT", "value": "8080"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "app-", "annotations": named},
        "spec": {"containers": [container, {"name": "proxy", "image": "proxy:1"}]},
    }


def _deployment() -> JSON:
    template = _pod(model="my-model", version="@champion")
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {"template": {"metadata": template["metadata"], "spec": template["spec"]}},
    }
    return review(workload, kind=_DEPLOYMENT, resource={"group": "apps", "version": "v1", "resource": "deployments"})
