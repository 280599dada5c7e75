"""Buckets of a real S3 server, and what publishing puts there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.webhook import Run
from tests.support import constants, moto_s3
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from tests.support.polling import until
from tests.support.webhook import Webhook, running_webhook
from webhook.annotations.parsing import parse
from webhook.catalog.bucket.manifest import Manifest
from webhook.catalog.bucket.store import Store
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.publishing.aliases import change
from webhook.catalog.publishing.local import scan
from webhook.catalog.publishing.publish import plan, publish
from webhook.catalog.resolution import LookupRequired
from webhook.model.request import ModelRequest
from webhook.model.source import Source
from webhook.settings import Settings

PREFIX = "model-artifacts"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nobody that the machine knows."""
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(s3: str) -> MotoBucket:
    return moto_s3.make_bucket(s3)


@pytest.fixture
def proxy(s3: str) -> Iterator[FaultyProxy]:
    """In front of the server: it counts requests, and makes faults."""
    with FaultyProxy(s3) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: MotoBucket, proxy: FaultyProxy) -> Iterator[Store]:
    """The bucket through the proxy, with little patience."""
    with_little_patience = Store(source(bucket, proxy), seconds=3, attempts=1)
    yield with_little_patience
    with_little_patience.close()


def source(bucket: MotoBucket, proxy: FaultyProxy, **options: Any) -> Source:
    return Source(bucket=bucket.name, prefix=PREFIX, endpoint_url=proxy.url, region="us-east-1", **options)


def folder_of(path: Path, **files: bytes) -> Path:
    """A folder with these files; `__` in a name is a slash, and the last `_` a dot."""
    for name, content in (files or {"weights_bin": b"w" * 1000, "config_json": b"{}"}).items():
        file = path / ".".join(name.replace("__", "/").rsplit("_", 1))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path


def published(store: Store, path: Path, version: str, model: str = "my-model", **options: Any) -> Manifest:
    """Publish a small folder."""
    if not path.exists():
        folder_of(path)
    upload = plan(scan(path), store, model, version, options.pop("labels", {}), lambda _: None)
    return publish(upload, store, options.pop("tags", {}), lambda _: None, **options)


def aliased(store: Store, model: str, **aliases: str) -> None:
    change(store, model, lambda held: held.update(aliases))


class Reader:
    """An S3Catalog that looks versions up as soon as it requires that."""

    def __init__(self, bucket: MotoBucket, proxy: FaultyProxy, patience: float = 3, **options: Any) -> None:
        """Gives S3 up after `patience` seconds."""
        self.settings = Settings(
            bucket=bucket.name,
            prefix=PREFIX,
            endpoint_url=proxy.url,
            region="us-east-1",
            layout=options.pop("layout", "{model}-{version}"),
            catalog={"mode": "s3", **options},
        )
        self.catalog = S3Catalog(self.settings, seconds=patience, attempts=1)
        self.refresh()

    def refresh(self) -> None:
        self.catalog.update("default", self.catalog.list_source("default"))

    def request(self, version: str, model: str = "my-model") -> ModelRequest:
        annotations: Mapping[str, str] = {"model-injector.io/model": model, "model-injector.io/version": version}
        return parse(annotations, self.settings).models[0]

    def resolve(self, version: str, model: str = "my-model") -> Any:
        """What the catalog answers after the lookups that it requires."""
        for _ in range(30):
            try:
                return self.catalog.resolve(self.request(version, model))
            except LookupRequired as required:
                for key in required.keys:
                    self.catalog.cache(key, self.catalog.look_up(key))
        raise AssertionError("each lookup requires a further one")

    def version(self, version: str, model: str = "my-model") -> str:
        found: str = self.resolve(version, model).artifact.version
        return found


Read = Callable[..., Reader]


@pytest.fixture
def read(bucket: MotoBucket, proxy: FaultyProxy) -> Read:
    """Reads the bucket; options are settings of the group `catalog`, the layout, and a Reader's patience."""

    def begin(**options: Any) -> Reader:
        return Reader(bucket, proxy, **options)

    return begin


@pytest.fixture
def run(bucket: MotoBucket, proxy: FaultyProxy, tmp_path: Path) -> Run:
    """Runs a webhook on the bucket; arguments are other settings, other constants, and the group `catalog`."""

    def begin(
        others: dict[str, Any] | None = None,
        *,
        other_constants: Mapping[str, float] = constants.PATIENT,
        **catalog: Any,
    ) -> AbstractContextManager[Webhook]:
        (tmp_path / "webhook").mkdir()
        settings = {
            "bucket": bucket.name,
            "prefix": PREFIX,
            "endpointUrl": proxy.url,
            "region": "us-east-1",
            "catalog": {"mode": "s3", "refreshSeconds": 1, "preflight": "enforce", **catalog},
            **(others or {}),
        }
        program = constants.program(other_constants)
        return running_webhook(tmp_path / "webhook", settings, env=moto_s3.CREDENTIALS, program=program)

    return begin


@pytest.fixture
def ready(run: Run) -> Iterator[Callable[..., Webhook]]:
    stack: list[Any] = []

    def begin(**catalog: Any) -> Webhook:
        context = run(**catalog)
        webhook = context.__enter__()
        stack.append(context)
        until(lambda: webhook.ops("/readyz").status_code == 200)
        until(lambda: webhook.metrics()['model_injector_catalog_age_seconds{source="default"}'] < 1000)
        return webhook

    yield begin
    for context in stack:
        context.__exit__(None, None, None)
