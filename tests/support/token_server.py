"""A token server, whose tokens a real registry checks: signed, and for the rights that were asked for."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

SERVICE, ISSUER = "a-registry", "a-token-server"


class TokenServer(ThreadingHTTPServer):
    """Gives tokens to who sends the right header, or the right refresh token; to all for reading."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, login: str, refresh_token: str, folder: Path) -> None:
        """`login` is `name:password`."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.basic = f"Basic {base64.b64encode(login.encode()).decode()}"
        self.refresh_token = refresh_token
        self.asked: list[str] = []
        """The method and the scopes of each request."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._bundle = folder / "token-server.pem"
        self._bundle.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def auth(self) -> Mapping[str, Any]:
        """That part of a registry's configuration."""
        realm = f"http://127.0.0.1:{self.server_port}/token"
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self._bundle)}}

    def token(self, scopes: list[str]) -> str:
        """A token for these scopes."""
        der = base64.b64encode(self._certificate.public_bytes(Encoding.DER)).decode()
        now = int(time.time())
        access = [dict(zip(("type", "name", "actions"), scope.split(":"), strict=True)) for scope in scopes]
        claims = {
            "iss": ISSUER,
            "sub": "pusher",
            "aud": SERVICE,
            "exp": now + 60,
            "nbf": now - 60,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": [{**each, "actions": each["actions"].split(",")} for each in access],
        }
        head = {"typ": "JWT", "alg": "ES256", "x5c": [der]}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(32) + s.to_bytes(32))}"


@contextmanager
def serve(login: str, refresh_token: str, folder: Path) -> Iterator[TokenServer]:
    """Serve it while the context lasts."""
    with TokenServer(login, refresh_token, folder) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    server: TokenServer

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._answer(query.get("scope", []), may_push=self.headers.get("Authorization") == self.server.basic)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._answer(form["scope"][0].split(" "), may_push=form["refresh_token"] == [self.server.refresh_token])

    def _answer(self, scopes: list[str], *, may_push: bool) -> None:
        self.server.asked.append(f"{self.command} {' '.join(scopes)}")
        granted = scopes if may_push else [scope.replace(":pull,push", ":pull") for scope in scopes]
        body = json.dumps({"token": self.server.token(granted), "expires_in": 60}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own name
        pass


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
