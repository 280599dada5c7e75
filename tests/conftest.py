"""A real webhook for any test: its own process, TLS, loopback."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.loaders import JSONFileLoader, Loader
from hypothesis import settings
from kubernetes_validate import utils

from certs import Authority
from tests.support.webhook import SETTINGS, Webhook, running_webhook

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests marked `alone` are asked for, modules that have none are not imported: it takes seconds."""
    if config.option.markexpr == "alone" and collection_path.suffix == ".py":
        return "@pytest.mark.alone" not in collection_path.read_text() or None
    return None


@pytest.fixture(scope="session", autouse=True)
def environment() -> Iterator[None]:
    """Python starts as on a user's machine: PYTHONUNBUFFERED, for one, would hide output that is never flushed."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("PYTHON")]:
            monkeypatch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Programs that tests start can be interrupted, also where a shell has started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def large_files() -> Iterator[None]:
    """Kubernetes' schemas and AWS's models, read once: the libraries do that for every object and client."""
    load = cache(partial(JSONFileLoader.load_file, JSONFileLoader()))
    services = cache(partial(Loader.list_available_services, Loader()))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        monkeypatch.setattr(Loader, "list_available_services", lambda _, type_name: services(type_name))
        yield


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
