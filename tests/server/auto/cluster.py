"""A cluster and its replicas, as these tests look at them and load them."""

import base64
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from socket import create_connection
from typing import Final

from cryptography import x509

from tests.support.api_server import ApiServer
from tests.support.webhook import Webhook

SECRET: Final = "/api/v1/namespaces/model-injector/secrets/model-injector-ca"  # noqa: S105 - a path
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/model-injector"
HOST = "model-injector.model-injector.svc"
SECONDS = 60
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for clients that check validity by the cluster's clock."""
_PAUSE = 0.04
"""Seconds between a client's handshakes: without it they would take all processor time from the other tests."""
LONG = {"caLifetime": "8760h", "leafLifetime": "168h", "overlap": 1}
SHORT = {"caLifetime": 720, "leafLifetime": 240, "overlap": 3}

Replica = Callable[..., AbstractContextManager[Webhook]]


def bundles(api: ApiServer) -> list[bytes]:
    """What each entry has as its caBundle."""
    entries = api.objects[CONFIGURATION]["webhooks"]
    return [base64.b64decode(entry["clientConfig"].get("caBundle", "")) for entry in entries]


def now(api: ApiServer) -> datetime:
    """By the cluster's clock."""
    return datetime.fromtimestamp(time.time() + api.clock_ahead, UTC)


def secret(api: ApiServer) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in api.objects[SECRET].get("data", {}).items()}


def delete(api: ApiServer) -> None:
    del api.objects[SECRET]


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


def fails(webhook: Webhook, bundle: bytes) -> bool:
    try:
        shake_hands(webhook, bundle)
    except ssl.SSLCertVerificationError:
        return True
    return False


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
    """The serial numbers that were shown."""
    shown: dict[int, x509.Certificate] = field(default_factory=dict)
    """The last leaf of each replica, by its port."""


@contextmanager
def load(api: ApiServer, *replicas: Webhook) -> Iterator[Load]:
    counted, stop = Load(), threading.Event()

    def send(lag: float) -> None:
        while not stop.is_set():
            bundle, read = bundles(api)[0], time.monotonic()
            trust = ssl.create_default_context(cadata=bundle.decode())
            trust.verify_flags |= _NO_CHECK_TIME
            while time.monotonic() < read + lag and not stop.is_set():
                for webhook in replicas:
                    try:
                        with (
                            create_connection(("127.0.0.1", webhook.port), timeout=20) as plain,
                            trust.wrap_socket(plain, server_hostname=HOST) as secured,
                        ):
                            leaf = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
                        counted.leaves.add(leaf.serial_number)
                        counted.shown[webhook.port] = leaf
                        counted.done += 1
                        if not leaf.not_valid_before_utc <= now(api) < leaf.not_valid_after_utc:
                            counted.failures.append(f"{now(api)}: valid until {leaf.not_valid_after_utc}")
                    except OSError as error:
                        counted.failures.append(f"{datetime.now(UTC)}: {error!r}")
                stop.wait(_PAUSE)

    threads = [threading.Thread(target=send, args=(lag,)) for lag in (0.2, 0.5, 1.0)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
