"""The stand-in cluster, and replicas that run in it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.server.auto.cluster import CONFIGURATION, HOST, LONG, Replica
from tests.support.api_server import ApiServer, running_api_server
from tests.support.webhook import SETTINGS, Webhook, running_webhook


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with running_api_server() as server:
        client = {"service": {"name": "model-injector", "namespace": "model-injector"}}
        webhooks = [{"name": f"{name}.model-injector.io", "clientConfig": client} for name in ("pods", "others")]
        server.put(CONFIGURATION, {"webhooks": webhooks})
        yield server


@pytest.fixture
def replica(api: ApiServer, tmp_path: Path) -> Replica:
    """Runs a replica; `certificates` are settings of that group, the rest goes to running_webhook."""

    def run(name: str = "one", certificates: dict[str, Any] = LONG, **options: Any) -> AbstractContextManager[Webhook]:
        (tmp_path / name).mkdir()
        names = {"webhookConfiguration": "model-injector", "secret": "model-injector-ca", "namespace": "model-injector"}
        group = {"mode": "auto", "hosts": [HOST], **names, **certificates}
        settings = {**SETTINGS, "certificates": group, "server": {"tlsPoll": 1, "drain": 1}}
        env = {"KUBECONFIG": str(api.kubeconfig(tmp_path))}
        return running_webhook(tmp_path / name, settings, env={**env, **options.pop("env", {})}, **options)

    return run
