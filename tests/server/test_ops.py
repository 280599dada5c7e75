"""The plain port: health, readiness, metrics."""

import re
import socket

import httpx
import pytest

from tests.admission.conftest import asking
from tests.conftest import Start
from tests.support.reviews import review
from tests.support.webhook import Webhook
from webhook import __version__


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_running_server_is_healthy_and_ready(webhook: Webhook, path: str) -> None:
    assert (webhook.ops(path).status_code, webhook.ops(path).text) == (200, "ok")


def value(webhook: Webhook, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", webhook.ops("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_decisions_are_counted_by_what_they_were_and_why(webhook: Webhook, client: httpx.Client) -> None:
    series = {
        'model_injector_decisions_total{decision="injected",kind="Pod",reason="Injected"}': asking(),
        'model_injector_decisions_total{decision="refused",kind="Pod",reason="InvalidAnnotation"}': asking(
            model="../x"
        ),
        'model_injector_decisions_total{decision="refused",kind="Pod",reason="UnknownVersion"}': asking(
            version="@champion"
        ),
    }
    for name, pod in series.items():
        before = value(webhook, name)
        client.post("/mutate", json=review(pod))
        assert value(webhook, name) == before + 1


def test_durations_are_measured_from_a_tenth_of_a_millisecond_up(webhook: Webhook, client: httpx.Client) -> None:
    before = value(webhook, "model_injector_decision_seconds_count")
    client.post("/mutate", json=review(asking()))
    assert value(webhook, "model_injector_decision_seconds_count") == before + 1
    assert 'model_injector_decision_seconds_bucket{le="0.0001"}' in webhook.ops("/metrics").text


def test_bad_requests_are_counted_apart(webhook: Webhook, client: httpx.Client) -> None:
    before = value(webhook, 'model_injector_bad_requests_total{status="400"}')
    client.post("/mutate", content=b"{")
    assert value(webhook, 'model_injector_bad_requests_total{status="400"}') == before + 1


def test_the_build_and_the_process_are_shown(webhook: Webhook) -> None:
    page = webhook.ops("/metrics").text
    assert re.search(
        rf'^model_injector_build_info{{python="3\.\d+\.\d+",version="{__version__}"}} 1\.0$', page, re.MULTILINE
    )
    assert "process_resident_memory_bytes" in page


def test_the_plain_port_takes_no_reviews(webhook: Webhook) -> None:
    response = httpx.post(f"http://127.0.0.1:{webhook.ops_port}/mutate", json={}, trust_env=False)
    assert response.status_code == 404


def test_by_default_it_answers_on_every_address_of_both_kinds(start: Start) -> None:
    webhook = start(host="")
    for host in ("127.0.0.1", "[::1]") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
        assert httpx.get(f"http://{host}:{webhook.ops_port}/healthz", trust_env=False).text == "ok"
