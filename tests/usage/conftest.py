"""An API server with workloads and pods, and settings of two sources."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, running_api_server
from tests.usage.objects import LISTS
from webhook.kubernetes.client import KubernetesClient
from webhook.settings import Settings


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.connect(tmp_path, monkeypatch)
        api.lists = {path: [] for path in LISTS}
        yield api


@pytest.fixture
def client(api: ApiServer) -> KubernetesClient:
    assert api
    return KubernetesClient()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings.model_validate(
        {
            "bucket": "my-ml-bucket",
            "prefix": "model-artifacts",
            "sources": {"staging": {"bucket": "staging"}},
        }
    )
