"""An API server over HTTP, and a client of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.support.api_server import ApiServer, running_api_server
from tests.support.clock import Clock
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
    file = str(api.kubeconfig(tmp_path))
    monkeypatch.setenv("KUBECONFIG", file)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", file)  # read by its import
    return KubernetesClient()


class Pauses(Event):
    """A process that is stopped in its n-th pause. A pause takes no time, but moves the clock."""

    def __init__(self, most: int, clock: Clock | None = None, then: Callable[[], None] = lambda: None) -> None:
        """`then` is called in each pause."""
        super().__init__()
        self.seconds = list[float]()
        self._most, self._clock, self._then = most, clock, then

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        if self._clock:
            self._clock.now += timeout
        self._then()
        if len(self.seconds) >= self._most:
            self.set()
        return self.is_set()
