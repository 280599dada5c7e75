"""The authority's certificates, as clients see them."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from certs import Authority, ServingCertificate


@contextmanager
def serving(leaf: ServingCertificate, folder: Path) -> Iterator[int]:
    """A TLS server that shakes hands and hangs up; gives its port."""
    (folder / "tls.crt").write_bytes(leaf.certificate)
    (folder / "tls.key").write_bytes(leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def accept(listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
            with context.wrap_socket(connection, server_side=True):
                pass
        except OSError:
            pass  # the client did not like us, or the test is over

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,))
        thread.start()
        yield listening.getsockname()[1]
        listening.close()
        thread.join(10)


def shake_hands(port: int, authority: Authority, host: str) -> None:
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


@pytest.mark.parametrize("host", ["model-injector.model-injector.svc", "localhost", "127.0.0.1", "::1"])
def test_a_client_that_has_the_authority_trusts_each_of_a_leafs_hosts(host: str, tmp_path: Path) -> None:
    authority = Authority.create()
    leaf = authority.issue(["model-injector.model-injector.svc", "localhost", "127.0.0.1", "::1"])
    with serving(leaf, tmp_path) as port:
        shake_hands(port, authority, host)


def test_another_host_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority.create()
    with serving(authority.issue(["localhost"]), tmp_path) as port, pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(port, authority, "elsewhere")


def test_another_authority_of_the_same_name_is_not_trusted(tmp_path: Path) -> None:
    with (
        serving(Authority.create().issue(["localhost"]), tmp_path) as port,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        shake_hands(port, Authority.create(), "localhost")


def test_a_leaf_can_sign_nothing_and_the_authority_only_leaves() -> None:
    authority = Authority.create()
    ca = x509.load_pem_x509_certificate(authority.certificate)
    leaf = x509.load_pem_x509_certificate(authority.issue(["localhost"]).certificate)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_certificates_live_as_long_as_asked_and_are_valid_on_clocks_that_are_behind() -> None:
    leaf = Authority.create().issue(["localhost"], datetime.timedelta(hours=1))
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    now = datetime.datetime.now(datetime.UTC)
    assert certificate.not_valid_before_utc < now - datetime.timedelta(minutes=4)
    assert now + datetime.timedelta(minutes=59) < certificate.not_valid_after_utc <= now + datetime.timedelta(hours=1)


def test_an_authority_shows_its_key_nowhere() -> None:
    authority = Authority.create()
    assert "PRIVATE" not in repr(authority)
    assert "PRIVATE" not in repr(authority.issue(["localhost"]))
