"""A stop that loses no request."""

import signal
import threading
import time

import httpx
import pytest

from tests.injection.conftest import asking
from tests.server.conftest import Start
from tests.support.reviews import review
from tests.support.webhook import Webhook


def wait_until_not_ready(webhook: Webhook) -> None:
    deadline = time.monotonic() + 20
    while webhook.ops("/readyz").status_code != 503:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_told_to_stop_goes_on_serving_and_ends_its_connections_one_by_one(start: Start) -> None:
    webhook = start(drain=3)
    with webhook.client() as client:
        before = client.post("/mutate", json=review(asking()))
        assert "connection" not in before.headers
        webhook.process.terminate()
        wait_until_not_ready(webhook)
        assert webhook.ops("/healthz").status_code == 200
        time.sleep(1.1)  # uvicorn makes its headers anew once a second
        during = client.post("/mutate", json=review(asking()))
        assert during.status_code == 200
        assert during.headers["connection"] == "close"
        assert client.post("/mutate", json=review(asking())).status_code == 200  # on a new connection
    assert webhook.process.wait(20) == 0


def test_a_second_signal_ends_the_wait(start: Start) -> None:
    webhook = start(drain=600)
    webhook.process.terminate()
    wait_until_not_ready(webhook)
    webhook.process.send_signal(signal.SIGINT)
    assert webhook.process.wait(30) == 0


def test_no_request_is_lost_while_the_cluster_learns_of_the_stop(start: Start) -> None:
    """Clients on kept connections go on for some seconds, as behind a Service, and then go elsewhere."""
    webhook = start(drain=6)
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
    time.sleep(0.5)
    webhook.process.terminate()
    wait_until_not_ready(webhook)
    before = sum(counts)
    time.sleep(2)
    elsewhere.set()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert sum(counts) > before + 20
    assert webhook.process.wait(30) == 0


@pytest.mark.parametrize("broken", ["tls.crt", "tls.key"])
def test_a_start_without_a_certificate_fails_in_one_line(start: Start, broken: str) -> None:
    with pytest.raises(RuntimeError, match=r"did not start: model-injector: server\.tlsCert .* can't be used"):
        start(**{"tlsCert" if broken == "tls.crt" else "tlsKey": "/nowhere"})
