"""A running webhook with an inventory: what pods get before a claim is ready and after, and what previews show."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.admission.conftest import asking
from tests.admission.test_pinning import asking as workload_asking
from tests.catalog.webhook import DEPLOYMENT, ask
from tests.inventory.conftest import CLAIMS, JSON, claim
from tests.support.api_server import ApiServer
from tests.support.polling import until
from tests.support.reviews import operations
from tests.support.webhook import SETTINGS, Webhook, running_webhook
from webhook.annotations.pinned import decode
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name
from webhook.model.source import Source

NAME = claim_name("s3-mount", Artifact("my-model", "1.2.3", Source(**SETTINGS)))
FALLBACK = f"my-model: strategy s3-mount is not used: namespace apps has no claim {NAME}"
POD = asking(strategy="s3-mount, s3-init")


@pytest.fixture
def webhook(api: ApiServer, tmp_path: Path) -> Iterator[Webhook]:
    settings = {"inventory": {"enabled": True, "refreshSeconds": 1}, "preview": {"auth": "none"}}
    env = {"KUBECONFIG": str(api.kubeconfig(tmp_path))}
    with running_webhook(tmp_path, {**SETTINGS, **settings}, env=env) as running:
        until(lambda: running.ops("/readyz").text == "ok")
        yield running


def preview(client: httpx.Client, pod: JSON) -> JSON:
    """The only document of a preview."""
    (document,) = client.post("/preview", params={"namespace": "apps"}, content=json.dumps(pod)).json()["documents"]
    assert isinstance(document, dict)
    return document


DEPLOYMENTS = {"group": "apps", "version": "v1", "resource": "deployments"}


def pinned(client: httpx.Client) -> str:
    """The strategy that a Deployment's template is pinned to."""
    workload = workload_asking(version="1.2.3", strategy="s3-mount, s3-init")
    (operation,) = operations(ask(client, workload, kind=DEPLOYMENT, requestKind=DEPLOYMENT, resource=DEPLOYMENTS))
    (pin,) = decode(operation["value"]).models
    return pin.strategy


def test_a_claim_is_used_once_it_is_ready(webhook: Webhook, api: ApiServer) -> None:
    with webhook.client() as client:
        first = ask(client, POD)  # once: the answer about a second replica holds for a second
        assert "initContainers" in json.dumps(operations(first))
        assert first["response"]["warnings"] == [FALLBACK]
        found = preview(client, POD)
        assert (found["models"][0]["strategy"], found["warnings"]) == ("s3-init", [FALLBACK])
        assert pinned(client) == "s3-init"
        refused = ask(client, asking(strategy="s3-mount"))["response"]
        assert refused["allowed"] is False
        assert f"namespace apps has no claim {NAME}" in refused["status"]["message"]

        api.lists[CLAIMS] = [claim(NAME, "apps", state="ready"), claim("other", "ml", state="loading")]
        until(lambda: webhook.metrics()["model_injector_inventory_claims"] == 2)
        answer = ask(client, POD)
        assert "initContainers" not in json.dumps(operations(answer))
        assert {"claimName": NAME, "readOnly": True} in [
            volume["persistentVolumeClaim"]
            for operation in operations(answer)
            if operation["path"] == "/spec/volumes"
            for volume in operation["value"]
        ]
        assert answer["response"].get("warnings") is None
        found = preview(client, POD)
        assert (found["models"][0]["strategy"], found["warnings"]) == ("s3-mount", [])
        assert pinned(client) == "s3-mount"
    assert {"inventory read"} <= {line["message"] for line in webhook.log()}
    assert webhook.metrics()["model_injector_inventory_age_seconds"] < 60
