"""The certificate, and what happens to handshakes while it changes."""

import asyncio
import http.client
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs import Authority, FileSource
from tests.conftest import Start
from tests.support import clock
from tests.support.polling import until
from tests.support.webhook import HOST, Webhook, write_certificate
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.server.tls import CertificateReloader


def served(webhook: Webhook) -> int:
    """The serial number of the certificate that a new connection gets."""
    pem = ssl.get_server_certificate(("127.0.0.1", webhook.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def wait_until_served(webhook: Webhook, serial: int) -> None:
    until(lambda: served(webhook) == serial)


def wait_until_not_renewed(webhook: Webhook) -> None:
    until(lambda: any(line["message"] == "certificate not renewed" for line in webhook.log()))


def serial_on_disk(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()).serial_number


async def handshake(webhook: Webhook, trust: ssl.SSLContext) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", webhook.port, ssl=trust, server_hostname=HOST)
    writer.close()
    await writer.wait_closed()


def test_handshakes_go_on_through_reloads_of_the_certificate(start: Start) -> None:
    authority = Authority.create()
    webhook = start(authority, tlsPoll=1)
    trust = webhook.trust
    serials = {served(webhook)}

    async def load() -> None:
        done, deadline = 0, time.monotonic() + 60
        while done <= 100 or len(serials) <= 2:
            assert time.monotonic() < deadline, (done, serials)
            await asyncio.gather(*(handshake(webhook, trust) for _ in range(4)))
            done += 4
            if done % 40 == 0:
                write_certificate(webhook.folder, authority)
                serials.add(await asyncio.to_thread(served, webhook))

    asyncio.run(load())


def ask(connection: http.client.HTTPSConnection) -> int:
    """Send a request; gives the port of our end, which a new connection would not have."""
    connection.request("POST", "/mutate", b"{")
    response = connection.getresponse()
    assert (response.status, response.read()[:8]) == (400, b'{"error"')
    port: int = connection.sock.getsockname()[1]
    return port


def test_a_connection_outlives_the_certificate_that_it_began_with(start: Start) -> None:
    authority = Authority.create()
    webhook = start(authority, tlsPoll=1)
    connection = http.client.HTTPSConnection(HOST, webhook.port, context=webhook.trust, timeout=30)
    before = ask(connection)
    write_certificate(webhook.folder, authority)
    wait_until_served(webhook, serial_on_disk(webhook.folder))
    assert ask(connection) == before
    connection.close()


@pytest.mark.parametrize("spoiled", ["tls.crt", "tls.key"])
def test_a_spoiled_file_leaves_the_old_certificate_in_place(start: Start, spoiled: str) -> None:
    authority = Authority.create()
    webhook = start(authority, tlsPoll=1)
    before = served(webhook)
    whole = (webhook.folder / spoiled).read_bytes()
    (webhook.folder / spoiled).write_bytes(whole[: len(whole) // 2])
    wait_until_not_renewed(webhook)
    assert served(webhook) == before
    assert "PRIVATE KEY" not in (webhook.folder / "log").read_text()
    write_certificate(webhook.folder, authority)
    wait_until_served(webhook, serial_on_disk(webhook.folder))


def test_a_certificate_and_a_key_that_do_not_match_are_not_taken(start: Start) -> None:
    authority = Authority.create()
    webhook = start(authority, tlsPoll=1)
    before = served(webhook)
    (webhook.folder / "tls.key").write_bytes(authority.issue([HOST]).key)
    wait_until_not_renewed(webhook)
    asyncio.run(handshake(webhook, webhook.trust))
    assert served(webhook) == before


def test_nothing_older_than_tls_1_2_is_spoken(start: Start) -> None:
    webhook = start()
    trust = webhook.trust
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        trust.minimum_version, trust.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asyncio.run(handshake(webhook, trust))


def test_a_key_with_a_passphrase_is_a_fault_and_no_question_at_the_terminal(start: Start, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"hush")
    path = tmp_path / "locked.key"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(RuntimeError, match=r"did not start: model-injector: server\.tlsCert"):
        start(tlsKey=str(path))


class AheadOfTime(FileSource):
    """A certificate in files, at a time ahead of the machine's."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def test_a_certificate_that_expires_while_it_is_served_makes_the_server_not_ready(tmp_path: Path) -> None:
    write_certificate(tmp_path, Authority.create())
    source, health = AheadOfTime(tmp_path / "tls.crt", tmp_path / "tls.key"), Health(stage=None)

    async def steps() -> None:
        refreshing = asyncio.create_task(CertificateReloader(source, HOST, Metrics(), health).run(3600))
        await clock.until(lambda: health.not_ready is None)
        source.ahead = timedelta(days=91)
        await clock.advance(3600)
        await clock.until(lambda: health.not_ready)
        assert str(health.not_ready).startswith("the certificate expired at ")
        source.ahead = timedelta(days=89)
        await clock.advance(1)
        await clock.until(lambda: health.not_ready is None)
        refreshing.cancel()

    clock.run(steps())


def test_an_expired_certificate_makes_the_server_not_ready_until_it_is_replaced(start: Start) -> None:
    authority = Authority.create()
    webhook = start(authority, tlsPoll=1)
    assert webhook.ops("/readyz").text == "ok"
    expired = authority.issue([HOST], timedelta(days=1), datetime.now(UTC) - timedelta(days=2))
    (webhook.folder / "tls.crt").write_bytes(expired.certificate)
    (webhook.folder / "tls.key").write_bytes(expired.key)
    until(lambda: webhook.ops("/readyz").text.startswith("the certificate expired at "))
    write_certificate(webhook.folder, authority)
    until(lambda: webhook.ops("/readyz").text == "ok")
