"""A bucket with versions of a model, and a node with the driver."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.conftest import PREFIX, published, source
from tests.node_cache.driver import Node, running_node
from tests.support import moto_s3
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.store import Store

on_both_disks = pytest.mark.parametrize("node", [False, True], ids=["shared disk", "own disk"], indirect=True)
"""For tests with `node`: the cache is a folder of the node's file system, or has one of its own."""
SMALL = {"config.json": b"{}", "weights/0.bin": b"w" * 1000, "weights/1.bin": b""}


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(s3: str) -> MotoBucket:
    return moto_s3.make_bucket(s3)


@pytest.fixture
def proxy(s3: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: MotoBucket, proxy: FaultyProxy) -> Iterator[Store]:
    store = Store(source(bucket, proxy), seconds=3, attempts=1)
    yield store
    store.close()


def publish(store: Store, folder: Path, files: dict[str, bytes], version: str = "1.0.0") -> None:
    """Publish these files."""
    path = folder / f"published-{version}"
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    published(store, path, version)


@pytest.fixture
def settings(bucket: MotoBucket, proxy: FaultyProxy) -> dict[str, Any]:
    return {"bucket": bucket.name, "prefix": PREFIX, "endpointUrl": proxy.url, "region": "us-east-1"}


@pytest.fixture
def node(request: pytest.FixtureRequest, store: Store, settings: dict[str, Any], tmp_path: Path) -> Iterator[Node]:
    """A node, and the version 1.0.0 of SMALL."""
    publish(store, tmp_path, SMALL)
    with running_node(settings, has_disk=getattr(request, "param", False)) as node:
        yield node


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The key of the peers."""
    (tmp_path / "key").write_bytes(b"k" * 32)
    return tmp_path / "key"
