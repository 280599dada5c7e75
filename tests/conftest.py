"""A real webhook for any test: its own process, TLS, loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from certs import Authority
from tests.support.webhook import SETTINGS, Webhook, running_webhook


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with running_webhook(tmp_path_factory.mktemp("webhook"), SETTINGS) as running:
        yield running


@pytest.fixture
def client(webhook: Webhook) -> Iterator[httpx.Client]:
    with webhook.client() as client:
        yield client


Start = Callable[..., Webhook]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a webhook for one test; arguments are settings of the group `server`, and its authority."""
    with ExitStack() as stack:

        def begin(authority: Authority | None = None, **server: Any) -> Webhook:
            return stack.enter_context(running_webhook(tmp_path, {**SETTINGS, "server": server}, authority))

        yield begin
