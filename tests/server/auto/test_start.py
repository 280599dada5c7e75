"""How replicas start, and when they are ready."""

import base64
import json
import threading

import pytest

from certs import Authority, parse_bundle
from tests.server.auto.cluster import (
    CONFIGURATION,
    SECONDS,
    SECRET,
    Replica,
    bundles,
    is_ready,
    readiness,
    secret,
    shake_hands,
)
from tests.support.api_server import ApiServer
from tests.support.polling import until


def test_a_first_replica_is_trusted_by_every_entry_and_keeps_its_keys_to_itself(
    api: ApiServer, replica: Replica
) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        first, second = bundles(api)
        assert first == second == secret(api)["ca.crt"]
        leaf = shake_hands(webhook, first)
        assert leaf.not_valid_after_utc < parse_bundle(first)[0].not_valid_after_utc
        metrics = webhook.metrics()
        expiry = "model_injector_certificate_expiry_timestamp_seconds"
        assert metrics[expiry + '{certificate="leaf"}'] == leaf.not_valid_after_utc.timestamp()
        assert metrics[expiry + '{certificate="ca"}'] == parse_bundle(first)[0].not_valid_after_utc.timestamp()
        assert metrics["model_injector_certificate_reloads_total"] == 1
        assert "PRIVATE" not in (webhook.folder / "log").read_text()
        assert base64.b64encode(secret(api)["tls.key"])[:40].decode() not in (webhook.folder / "log").read_text()


def test_a_replica_that_restarts_changes_nothing_in_the_cluster(api: ApiServer, replica: Replica) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        before = json.dumps(api.objects)
        leaf = shake_hands(webhook, bundles(api)[0])
    with replica("again") as webhook:
        until(lambda: is_ready(webhook))
        assert shake_hands(webhook, bundles(api)[0]).serial_number != leaf.serial_number
    assert json.dumps(api.objects) == before


@pytest.mark.parametrize("attempt", range(3))
def test_two_replicas_that_start_at_once_end_with_one_authority(api: ApiServer, replica: Replica, attempt: int) -> None:
    opened = threading.Barrier(2)
    done: list[bool] = []

    def run(name: str) -> None:
        opened.wait()
        with replica(name) as webhook:
            until(lambda: is_ready(webhook))
            opened.wait()
            done.append(shake_hands(webhook, bundles(api)[0]).issuer == parse_bundle(bundles(api)[0])[0].subject)

    threads = [threading.Thread(target=run, args=(f"{name}{attempt}",)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    assert done == [True, True]
    assert len(parse_bundle(bundles(api)[0])) == 1
    assert bundles(api)[0] == bundles(api)[1] == secret(api)["ca.crt"]


def test_a_replica_that_starts_before_the_cluster_lets_it_says_what_is_missing(
    api: ApiServer, replica: Replica
) -> None:
    api.answer = 403
    with replica() as webhook:
        until(lambda: "the API server answers 403" in readiness(webhook))
        assert webhook.ops("/healthz").text == "ok"
        api.answer = None
        configuration = api.objects.pop(CONFIGURATION)
        until(lambda: "MutatingWebhookConfiguration" in readiness(webhook))
        api.put(CONFIGURATION, configuration)
        until(lambda: is_ready(webhook))


@pytest.mark.parametrize("mode", ["provided", "cert-manager"])
def test_a_certificate_of_someone_elses_has_to_verify_against_the_clusters_bundle(
    api: ApiServer, replica: Replica, mode: str
) -> None:
    authority = Authority.create()
    with replica(certificates={"mode": mode, "hosts": ["localhost"]}, authority=authority) as webhook:
        until(lambda: readiness(webhook) == "the caBundle has no valid certificate")
        entries = json.loads(json.dumps(api.objects[CONFIGURATION]))
        for bundle in (Authority.create().certificate, authority.certificate):
            for entry in entries["webhooks"]:
                entry["clientConfig"]["caBundle"] = base64.b64encode(bundle).decode()
            api.put(CONFIGURATION, entries)
            expected = "ok" if bundle == authority.certificate else "does not verify the certificate for localhost"
            until(lambda expected=expected: expected in readiness(webhook))  # type: ignore[misc]
        assert {method for method, _ in api.requests} == {"GET"}
        assert SECRET not in api.objects
