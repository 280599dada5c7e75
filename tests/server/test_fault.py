"""A fault of our own."""

import asyncio
import json
from typing import Any

import pytest

from tests.admission.conftest import asking
from tests.support.reviews import review
from webhook.catalog.live import StaticCatalog
from webhook.catalog.resolution import Resolved
from webhook.http.metrics import Metrics
from webhook.model.request import ModelRequest
from webhook.server.mutate import MutateEndpoint
from webhook.settings import Settings


class BrokenCatalog:
    def resolve(self, request: ModelRequest) -> Resolved:
        raise ZeroDivisionError(request.model)

    def check(self, request: ModelRequest, version: str) -> None:
        raise NotImplementedError


async def post(app: MutateEndpoint, body: bytes) -> list[dict[str, Any]]:
    """What an ASGI server would send."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "headers": []}, receive, send)
    return sent


def test_an_unexpected_error_is_answered_so_that_failure_policy_decides(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    app = MutateEndpoint(Settings(bucket="my-ml-bucket"), StaticCatalog(BrokenCatalog()), metrics)
    start, body = asyncio.run(post(app, json.dumps(review(asking())).encode()))
    assert start["status"] == 500
    assert json.loads(body["body"]) == {"error": "unexpected error; the webhook's log has its traceback"}
    assert "ZeroDivisionError" in caplog.text
    assert b"model_injector_errors_total 1.0" in metrics.render()
