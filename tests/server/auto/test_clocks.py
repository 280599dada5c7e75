"""Clocks that are wrong, or jump."""

import shutil
import ssl
import time
from datetime import UTC, datetime

import pytest
from cryptography import x509

from certs import parse_bundle
from tests.server.auto.cluster import Replica, bundles, is_ready, shake_hands
from tests.support.api_server import ApiServer
from tests.support.polling import until
from tests.support.webhook import Webhook


@pytest.mark.parametrize("days", [200, 400, -400])
def test_replicas_follow_the_clusters_clock_wherever_it_jumps(api: ApiServer, replica: Replica, days: int) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        leaf = shake_hands(webhook, bundles(api)[0])
        api.clock_ahead = days * 86400
        until(lambda: ssl_serial(webhook) != leaf.serial_number and is_ready(webhook))
        now = datetime.fromtimestamp(time.time() + api.clock_ahead, UTC)
        pem = ssl.get_server_certificate(("127.0.0.1", webhook.port)).encode()
        served = x509.load_pem_x509_certificate(pem)
        assert served.not_valid_before_utc <= now < served.not_valid_after_utc
        assert any(
            each.not_valid_before_utc <= now < each.not_valid_after_utc for each in parse_bundle(bundles(api)[0])
        )


def ssl_serial(webhook: Webhook) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", webhook.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


@pytest.mark.parametrize("jump", ["+400d", "-400d"])
def test_a_replica_whose_own_clock_is_wrong_is_trusted_all_the_same(
    api: ApiServer, replica: Replica, jump: str
) -> None:
    faketime = shutil.which("faketime")
    assert faketime, "apt-get install faketime"
    env = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with replica(wrapper=(faketime, "-f", jump), env=env) as webhook:
        until(lambda: is_ready(webhook))
        line = next(line for line in webhook.log() if line["message"] == "serving")
        assert abs(datetime.fromisoformat(line["time"]) - datetime.now(UTC)).days > 300  # it does run at another time
        shake_hands(webhook, bundles(api)[0])
