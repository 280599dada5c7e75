"""A stop that loses no request."""

import asyncio
import contextlib
import http.client
import json
import signal
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import pytest

from certs import Authority
from tests.admission.conftest import asking
from tests.conftest import Start
from tests.http.serving import accept, connected
from tests.support import clock
from tests.support.polling import until
from tests.support.reviews import review
from tests.support.webhook import HOST, SETTINGS, Webhook, running_webhook
from webhook.http.ops import Health
from webhook.server.run import _drain

BODY = json.dumps(review(asking()))


def wait_until_not_ready(webhook: Webhook) -> None:
    until(lambda: webhook.ops("/readyz").status_code == 503)


def test_a_server_told_to_stop_goes_on_serving_and_ends_its_connections_one_by_one(start: Start) -> None:
    webhook = start(drain=600)
    with webhook.client() as client:
        before = client.post("/mutate", json=review(asking()))
        assert "connection" not in before.headers
        webhook.process.terminate()
        wait_until_not_ready(webhook)
        assert webhook.ops("/healthz").status_code == 200

        def is_last_on_its_connection() -> bool:
            during = client.post("/mutate", json=review(asking()))
            assert during.status_code == 200
            return "close" in during.headers.get_list("connection")

        until(is_last_on_its_connection)  # within a second, when uvicorn updates its headers
        assert is_last_on_its_connection()  # as the first one on a new connection


def test_a_server_told_to_stop_ends_when_its_drain_is_over(start: Start) -> None:
    webhook = start(drain=1)
    webhook.process.terminate()
    assert webhook.process.wait(20) == 0


def test_a_drain_lasts_its_seconds_and_each_response_in_it_closes_its_connection() -> None:
    async def steps() -> None:
        health, started = Health(stage=None), clock.now()
        async with connected(accept) as client:
            draining = asyncio.create_task(_drain(client.server, health, 30, asyncio.Event()))
            for _ in range(30):  # uvicorn updates its headers every ten ticks of a tenth of a second
                await clock.advance(0.1)
            client.writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"\r\nconnection: close\r\n" in await client.reader.read()
            assert health.not_ready == "stopping"
            await clock.advance_until(draining.done)
            assert 30 <= clock.now() - started < 35

    clock.run(steps())


def test_a_second_signal_ends_the_wait(start: Start) -> None:
    webhook = start(drain=600)
    webhook.process.terminate()
    wait_until_not_ready(webhook)
    webhook.process.send_signal(signal.SIGINT)
    assert webhook.process.wait(30) == 0


def test_no_request_is_lost_while_the_cluster_learns_of_the_stop(start: Start) -> None:
    """Clients on kept connections go on for some seconds, as behind a Service, and then go elsewhere."""
    webhook = start(drain=600)
    body = review(asking())
    failures: list[object] = []
    counts = [0] * 4
    elsewhere = threading.Event()

    def send(index: int) -> None:
        with webhook.client() as client:
            while not elsewhere.is_set():
                try:
                    response = client.post("/mutate", json=body)
                    counts[index] += 1
                    if response.status_code != 200:
                        failures.append(response)
                except httpx.HTTPError as error:
                    failures.append(error)

    threads = [threading.Thread(target=send, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: all(counts))
    webhook.process.terminate()
    wait_until_not_ready(webhook)
    before = list(counts)
    until(lambda: all(count > past + 20 for count, past in zip(counts, before, strict=True)) or failures)
    elsewhere.set()
    for thread in threads:
        thread.join(30)
    assert not failures
    webhook.process.send_signal(signal.SIGINT)
    assert webhook.process.wait(30) == 0


@pytest.mark.parametrize("broken", ["tls.crt", "tls.key"])
def test_a_start_without_a_certificate_fails_in_one_line(start: Start, broken: str) -> None:
    with pytest.raises(RuntimeError, match=r"did not start: model-injector: server\.tlsCert .* cannot be used"):
        start(**{"tlsCert" if broken == "tls.crt" else "tlsKey": "/nowhere"})


class Service:
    """What kube-proxy makes of a Service: new connections go to replicas that are ready, as of a moment ago."""

    LAG = 0.5
    """Seconds until a change of readiness reaches every node."""

    def __init__(self, replicas: dict[str, Webhook]) -> None:
        self.replicas = replicas
        self.endpoints: list[Webhook] = list(replicas.values())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            ready = []
            for replica in list(self.replicas.values()):
                with contextlib.suppress(httpx.HTTPError):
                    if replica.ops("/readyz").status_code == 200:
                        ready.append(replica)
            self._stop.wait(self.LAG)
            self.endpoints = ready


class Clients:
    """API servers that keep their connections, each until its replica ends it."""

    PAUSE = 0.01
    """Seconds between a client's requests, which leave processor time to other tests."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.counts = [0] * 4
        self.replicas: list[Webhook | None] = [None] * 4
        """The replica of each client. None while it chooses one."""
        self.kept: list[int] = []
        """How many requests each connection has carried."""
        self.failures: list[object] = []
        self._finished = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(index,)) for index in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finished.set()
        for thread in self._threads:
            thread.join(40)

    def have_left(self, replica: Webhook) -> bool:
        """Whether no client has a connection to a replica, or will open one."""
        return replica not in self.service.endpoints and not {replica, None} & set(self.replicas)

    def _send(self, index: int) -> None:
        while not self._finished.is_set():
            self.replicas[index] = None
            self.replicas[index] = replica = self.service.endpoints[index % len(self.service.endpoints)]
            connection = http.client.HTTPSConnection(HOST, replica.port, context=replica.trust, timeout=30)
            before = self.counts[index]
            try:
                while not self._finished.is_set() and self._ask(connection):
                    self.counts[index] += 1
                    self._finished.wait(self.PAUSE)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
            finally:
                connection.close()
                self.kept.append(self.counts[index] - before)

    def _ask(self, connection: http.client.HTTPSConnection) -> bool:
        """One request; tells whether the connection goes on."""
        connection.request("POST", "/mutate", BODY)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            self.failures.append(response.status)
        return response.getheader("connection") != "close"


def test_no_request_is_lost_while_replicas_stop_and_others_start(tmp_path: Path) -> None:
    """A rolling restart of two, under load."""
    authority = Authority.create()
    with ExitStack() as stack:

        def begin(name: str) -> Webhook:
            (tmp_path / name).mkdir()
            settings = {**SETTINGS, "server": {"drain": 600}}
            return stack.enter_context(running_webhook(tmp_path / name, settings, authority))

        service = stack.enter_context(Service({name: begin(name) for name in ("one", "other")}))
        with Clients(service) as clients:
            for name in ("one", "other"):
                new = begin(f"{name} again")
                old, service.replicas[name] = service.replicas[name], new
                old.process.terminate()
                until(partial(clients.have_left, old))
                old.process.send_signal(signal.SIGINT)
                assert old.process.wait(30) == 0
            until(lambda: sum(clients.counts) >= 2000 or clients.failures)
    assert not clients.failures
    assert sum(clients.counts) >= 2000
    assert max(clients.kept) > 100
    assert len(clients.kept) >= 8  # each went on from an old replica to a new one
