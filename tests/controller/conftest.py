"""An API server over HTTP, and a client of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, running_api_server
from webhook.kubernetes.client import KubernetesClient


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with running_api_server() as api:
        yield api


@pytest.fixture
def api(server: ApiServer) -> Iterator[ApiServer]:
    """The API server, without anything in it."""
    for each in (server.objects, server.lists, server.watched, server.watches, server.requests, server.received):
        each.clear()
    server.list_version, server.keeps_lists = "1", True
    yield server
    server.answer = server.body = None


@pytest.fixture
def client(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubernetesClient:
    api.connect(tmp_path, monkeypatch)
    return KubernetesClient()
