"""S3 and a registry that give generated answers, below the program's own clients and parsers."""

import io
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from threading import Event
from typing import Any

import urllib3
from botocore.awsrequest import AWSResponse

from tests.support.generators.bucket import S3Answer
from tests.support.generators.registry import RegistryAnswer
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.store import Credentials, Store
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.resolution import VersionKey
from webhook.images import registry
from webhook.images.image import Blob, image
from webhook.images.records import LayerRecord
from webhook.images.reference import ImageName
from webhook.model.artifact import Artifact
from webhook.node_cache.versions import Content, read_content
from webhook.settings import Settings

_SETTINGS = Settings(
    bucket="my-ml-bucket", prefix="model-artifacts", region="us-east-1", catalog={"mode": "s3", "requiredTag": "a=b"}
)
_REPEATED = 200
"""After the generated answers, the last one is repeated this often. More requests would be an endless loop."""


class _S3:
    """Answers botocore's requests."""

    def __init__(self) -> None:
        self.answers: Iterator[S3Answer] = iter(())
        self.catalog = S3Catalog(_SETTINGS, seconds=1, attempts=1)
        (index,) = self.catalog._indexes.values()
        self.store = Store(index.source, attempts=1, credentials=Credentials("key", "a-secret", ""))
        index.store = self.store
        self.store._client.meta.events.register("before-send.s3", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        answer = next(self.answers)
        return AWSResponse(request.url, answer.status, urllib3.HTTPHeaderDict(answer.headers), _Raw(answer.body))


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.getvalue()


_S3_STUB: list[_S3] = []


def listed(answers: Sequence[S3Answer]) -> Iterator[str]:
    """List a source and look up a version with these answers. Yields the messages of errors."""
    s3 = _s3_with(answers)
    try:
        found = s3.catalog.list_source("default")
        yield from found.problems
    except CatalogError as error:
        yield str(error)
    for version in ("1.2.3", ""):
        looked_up = s3.catalog.look_up(VersionKey("default", "my-model", version))
        if isinstance(looked_up, VersionStatus):
            yield from (looked_up.error, looked_up.archived, looked_up.mismatch)


def version(answers: Sequence[S3Answer]) -> Content:
    """Read a version with these answers, as the node cache does. Raises CatalogError."""
    store = _s3_with(answers).store
    return read_content(store, Artifact("my-model", "1.2.3", store.source), "")


def _s3_with(answers: Sequence[S3Answer]) -> _S3:
    if not _S3_STUB:
        _S3_STUB.append(_S3())  # once: creating a client takes half a second
    _S3_STUB[0].answers = chain(answers, repeat(answers[-1], _REPEATED))
    return _S3_STUB[0]


class _Reply:
    """A response as urllib3's pools give it."""

    def __init__(self, answer: RegistryAnswer) -> None:
        self.status, self.headers = answer.status, urllib3.HTTPHeaderDict(answer.headers)
        self._body = io.BytesIO(answer.body)

    def read1(self, size: int, **_: object) -> bytes:
        return self._body.read(size)

    def close(self) -> None:
        pass

    release_conn = close


class _Pool:
    def __init__(self, answers: Iterator[RegistryAnswer]) -> None:
        self._answers = answers

    def request(self, *_: object, **__: object) -> _Reply:
        return _Reply(next(self._answers))

    def clear(self) -> None:
        pass


def pushed(answers: Sequence[RegistryAnswer]) -> None:
    """Push an image to a registry with these answers. Raises RegistryError, and Stopped instead of a pause."""
    stopped = Event()
    stopped.set()
    repository = registry.Registry(
        ImageName("registry.example.com", "models/my-model", "1.2.3"), 1, stopped, plain_http=False
    )
    pool: Any = _Pool(chain(answers, repeat(answers[-1], _REPEATED)))
    vars(repository._connection)["_pool"] = lambda _: pool
    blob = Blob(f"sha256:{'d' * 64}", 7)
    repository.reuse(LayerRecord(blob.digest, "registry.example.com/models/other"), blob.size)
    repository.write_image(image([blob], "", {}), "1.2.3")
