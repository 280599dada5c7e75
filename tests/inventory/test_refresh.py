"""The inventory of a server over time: its age, its failures, and the end of the server."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Event
from typing import Any, TypeVar

import pytest

from tests.inventory.conftest import CLAIMS, claim
from tests.support import clock
from tests.support.api_server import ApiServer
from webhook.http.log import FIELDS
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.inventory import refresh
from webhook.inventory.inventory import Inventory
from webhook.inventory.refresh import InventoryRefresher
from webhook.kubernetes.client import ClusterError

T = TypeVar("T")
NOTHING = Inventory({}, frozenset(), "1.36")


class Server:
    """What a server has of it: metrics, health, and a clock."""

    def __init__(self, seconds: float = 15) -> None:
        self.clock, self.metrics, self.health = clock.Clock(), Metrics(), Health(stage=None)
        self.refresher = InventoryRefresher("model-injector.io", seconds, self.metrics, self.health, self.clock)

    def not_ready(self) -> str | None:
        return self.health.not_ready

    def figure(self, name: str) -> str:
        lines = self.metrics.render().decode().splitlines()
        (found,) = [line.split()[1] for line in lines if line.startswith(f"model_injector_inventory_{name} ")]
        return found

    def figures(self) -> list[str]:
        return [self.figure(name) for name in ("age_seconds", "claims", "errors_total")]


def own_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The inventory's records. Servers of other tests log in the same process."""
    return [record for record in caplog.records if record.name == refresh.__name__]


def test_an_inventory_stays_in_use_for_a_while_if_it_cannot_be_read_again(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, refresh.__name__)

    async def steps() -> None:
        server = Server()
        refreshed = server.refresher.refresh

        def current() -> Inventory | None:
            return server.refresher.current()

        assert (current(), server.figures()) == (None, ["+Inf", "0.0", "0.0"])
        assert server.not_ready() == "the inventory has not been read yet"
        api.lists[CLAIMS] = [claim("models", state="loading")]
        await refreshed()
        found = current()
        assert found
        assert found.claim_problem("ml", "models") == "the claim models is not ready: its state is loading"
        assert server.not_ready() is None

        api.answer = 403
        for _ in range(3):
            server.clock.now += 45
            await refreshed()
        assert (current(), server.figures()) == (found, ["135.0", "1.0", "3.0"])
        server.clock.now += 1
        assert (current(), server.figures()) == (None, ["136.0", "1.0", "3.0"])

        api.answer, api.lists[CLAIMS] = None, [claim("models", state="ready")]
        for _ in range(2):
            await refreshed()
        found = current()
        assert found
        assert found.claim_problem("ml", "models") is None
        assert server.figures() == ["0.0", "1.0", "3.0"]
        server.refresher.close()

    asyncio.run(steps())
    records = own_records(caplog)
    assert [each.message for each in records] == ["inventory read", "inventory not read", "inventory read"]
    assert "403" in getattr(records[1], FIELDS)["problem"]


def test_an_error_of_the_program_is_one_traceback_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, api: ApiServer
) -> None:
    assert api
    monkeypatch.setattr(refresh, "read_inventory", lambda *_: 1 / 0)
    server = Server()

    async def steps() -> None:
        for _ in range(3):
            await server.refresher.refresh()

    asyncio.run(steps())
    assert [each.message for each in own_records(caplog)] == ["unexpected error", "inventory not read"]
    assert server.figures() == ["+Inf", "0.0", "3.0"]
    server.refresher.close()


class AtOnce(Executor):
    """Runs a function where it is submitted, so that a clock does not run ahead of a thread."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> "Future[T]":
        done = Future[T]()
        try:
            done.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - as other executors
            done.set_exception(error)
        return done


def test_a_failure_is_tried_again_sooner(monkeypatch: pytest.MonkeyPatch, api: ApiServer) -> None:
    assert api
    fails, calls = True, list[float]()

    def read(*_: object) -> Inventory:
        calls.append(0)
        if fails:
            raise ClusterError("nobody answers")
        return NOTHING

    monkeypatch.setattr(refresh, "read_inventory", read)

    async def seconds_of_three_more() -> float:
        started, most = clock.now(), len(calls) + 3
        await clock.advance_until(lambda: len(calls) >= most, step=5)
        return clock.now() - started

    async def steps() -> None:
        nonlocal fails
        server = Server(seconds=100)
        server.refresher._thread = AtOnce()  # type: ignore[assignment]
        running = asyncio.create_task(server.refresher.run())
        assert await seconds_of_three_more() < 50
        fails = False
        await seconds_of_three_more()
        assert await seconds_of_three_more() > 250
        running.cancel()
        server.refresher.close()

    clock.run(steps())


def test_neither_readiness_nor_the_end_waits_for_an_api_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, api: ApiServer
) -> None:
    assert api
    entered, released, ended = Event(), Event(), Event()

    def read(*_: object) -> Inventory:
        entered.set()
        released.wait(60)
        ended.set()
        return NOTHING

    monkeypatch.setattr(refresh, "read_inventory", read)

    async def steps() -> None:
        server = Server()
        running = asyncio.create_task(server.refresher.run())
        await clock.until(entered.is_set)
        started = clock.now()
        await clock.advance_until(lambda: server.health.not_ready is None)
        assert 4 < clock.now() - started < 10
        assert server.refresher.current() is None
        running.cancel()
        server.refresher.close()

    clock.run(steps())
    assert not ended.is_set()
    released.set()
