"""Certificates of the cluster's own: real replicas, real handshakes, through everything that can happen to them."""

import base64
import json
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import create_connection
from typing import Any, Final

import pytest
from cryptography import x509

from certs import Authority, parse_bundle
from tests.server.conftest import SETTINGS
from tests.support.api_server import ApiServer, running_api_server
from tests.support.webhook import Webhook, running_webhook

SECRET: Final = "/api/v1/namespaces/model-injector/secrets/model-injector-ca"  # noqa: S105 - a path
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/model-injector"
HOST = "model-injector.model-injector.svc"
SECONDS = 60
LONG = {"caLifetime": "8760h", "leafLifetime": "168h", "overlap": 1}
SHORT = {"caLifetime": 24, "leafLifetime": 8, "overlap": 3}


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with running_api_server() as server:
        client = {"service": {"name": "model-injector", "namespace": "model-injector"}}
        webhooks = [{"name": f"{name}.model-injector.io", "clientConfig": client} for name in ("pods", "others")]
        server.put(CONFIGURATION, {"webhooks": webhooks})
        yield server


Replica = Callable[..., AbstractContextManager[Webhook]]


@pytest.fixture
def replica(api: ApiServer, tmp_path: Path) -> Replica:
    """Runs a replica; `certificates` are settings of that group, the rest goes to running_webhook."""

    def run(name: str = "one", certificates: dict[str, Any] = LONG, **options: Any) -> AbstractContextManager[Webhook]:
        (tmp_path / name).mkdir()
        names = {"webhookConfiguration": "model-injector", "secret": "model-injector-ca", "namespace": "model-injector"}
        group = {"mode": "auto", "hosts": [HOST], **names, **certificates}
        settings = {**SETTINGS, "certificates": group, "server": {"tlsPoll": 1, "drain": 1}}
        env = {"KUBECONFIG": str(api.kubeconfig(tmp_path))}
        return running_webhook(tmp_path / name, settings, env={**env, **options.pop("env", {})}, **options)

    return run


def bundles(api: ApiServer) -> list[bytes]:
    """What each entry has as its caBundle."""
    entries = api.objects[CONFIGURATION]["webhooks"]
    return [base64.b64decode(entry["clientConfig"].get("caBundle", "")) for entry in entries]


def secret(api: ApiServer) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in api.objects[SECRET].get("data", {}).items()}


def shake_hands(webhook: Webhook, bundle: bytes) -> x509.Certificate:
    """As the API server does it; gives the certificate that it was shown."""
    trust = ssl.create_default_context(cadata=bundle.decode())
    with (
        create_connection(("127.0.0.1", webhook.port), timeout=20) as plain,
        trust.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown)


def until(holds: Callable[[], object], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def readiness(webhook: Webhook) -> str:
    return webhook.ops("/readyz").text


def is_ready(webhook: Webhook) -> bool:
    return readiness(webhook) == "ok"


@dataclass
class Load:
    """Handshakes by clients that read the caBundle now and then, as API servers do: some of them late."""

    done: int = 0
    failures: list[str] = field(default_factory=list)
    leaves: set[int] = field(default_factory=set)


@contextmanager
def load(api: ApiServer, *replicas: Webhook) -> Iterator[Load]:
    counted, stop = Load(), threading.Event()

    def send(lag: float) -> None:
        while not stop.is_set():
            bundle, read = bundles(api)[0], time.monotonic()
            trust = ssl.create_default_context(cadata=bundle.decode())
            while time.monotonic() < read + lag and not stop.is_set():
                for webhook in replicas:
                    try:
                        with (
                            create_connection(("127.0.0.1", webhook.port), timeout=20) as plain,
                            trust.wrap_socket(plain, server_hostname=HOST) as secured,
                        ):
                            counted.leaves.add(hash(secured.getpeercert(binary_form=True)))
                        counted.done += 1
                    except OSError as error:
                        counted.failures.append(f"{datetime.now(UTC)}: {error!r}")

    threads = [threading.Thread(target=send, args=(lag,)) for lag in (0.2, 0.5, 1.0)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)


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


def test_no_handshake_is_lost_while_leaves_and_authorities_are_replaced(api: ApiServer, replica: Replica) -> None:
    with replica("one", SHORT) as one, replica("other", SHORT) as other:
        until(lambda: is_ready(one) and is_ready(other))
        first = parse_bundle(bundles(api)[0])
        most = 0
        with load(api, one, other) as counted:
            deadline = time.monotonic() + 4 * SECONDS
            while counted.done < 5000 or first[0] in parse_bundle(bundles(api)[0]):
                most = max(most, len(parse_bundle(bundles(api)[0])))
                assert not counted.failures
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert not counted.failures
        assert counted.done >= 5000
        assert most >= 2  # the overlap
        assert len(counted.leaves) >= 6
        assert is_ready(one)
        assert is_ready(other)


def delete(api: ApiServer) -> None:
    del api.objects[SECRET]


def spoil(api: ApiServer, **data: bytes | None) -> None:
    kept = secret(api) | {key.replace("_", "."): value for key, value in data.items()}
    encoded = {key: base64.b64encode(value).decode() for key, value in kept.items() if value is not None}
    api.put(SECRET, {**api.objects[SECRET], "data": encoded})


@pytest.mark.parametrize(
    "harm",
    [
        delete,
        partial(spoil, tls_key=b"nonsense"),
        partial(spoil, tls_crt=None),
        partial(spoil, tls_key=Authority.create().key),
        partial(spoil, tls_crt=None, tls_key=None, ca_crt=None),
    ],
    ids=["deleted", "a key that is none", "no certificate", "the key of another", "empty"],
)
def test_a_secret_that_is_deleted_or_spoiled_is_made_anew_with_no_handshake_lost(
    api: ApiServer, replica: Replica, harm: Callable[[ApiServer], None]
) -> None:
    with replica() as one:
        until(lambda: is_ready(one))
        before = bundles(api)[0]
        with load(api, one) as counted, replica("late") as late:
            harm(api)
            until(lambda: SECRET in api.objects and secret(api).get("tls.crt", before) not in before)
            new = secret(api)["tls.crt"]
            until(lambda: not _fails(one, new) and is_ready(late))
        assert not counted.failures
        assert counted.done > 20
        assert before + new == secret(api)["ca.crt"] == bundles(api)[0] == bundles(api)[1]


def _fails(webhook: Webhook, bundle: bytes) -> bool:
    try:
        shake_hands(webhook, bundle)
    except ssl.SSLCertVerificationError:
        return True
    return False


@pytest.mark.parametrize("content", [b"", b"nonsense", Authority.create().certificate])
def test_a_bundle_that_someone_else_overwrites_is_put_right(api: ApiServer, replica: Replica, content: bytes) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        right = bundles(api)[0]
        entries = json.loads(json.dumps(api.objects[CONFIGURATION]))
        entries["webhooks"][1]["clientConfig"]["caBundle"] = base64.b64encode(content).decode()
        api.put(CONFIGURATION, entries)
        until(lambda: bundles(api) == [right, right])


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


def test_an_api_server_that_is_away_changes_nothing_for_who_is_ready(api: ApiServer, replica: Replica) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        api.answer = 503
        until(lambda: webhook.metrics()["model_injector_certificate_errors_total"] >= 2)
        assert is_ready(webhook)
        shake_hands(webhook, bundles(api)[0])
        told = [line for line in webhook.log() if "the API server answers 503" in line.get("problem", "")]
        assert len(told) == 1  # not once for each try


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


def test_an_answer_that_makes_no_sense_stops_nothing(api: ApiServer, replica: Replica) -> None:
    with replica() as webhook:
        until(lambda: is_ready(webhook))
        sane = api.objects[CONFIGURATION]
        api.objects[CONFIGURATION] = {"metadata": {"resourceVersion": "1"}, "webhooks": [{"name": "x"}]}
        until(lambda: webhook.metrics()["model_injector_certificate_errors_total"] >= 1)
        assert is_ready(webhook)
        api.objects[CONFIGURATION] = sane
        shake_hands(webhook, bundles(api)[0])
