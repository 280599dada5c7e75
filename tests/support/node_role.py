"""A stand-in for a node's metadata service in its second version, which gives the keys of the node's role."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.pod_identity import Credentials

_TOKEN = "AQAEEXAMPLE=="  # noqa: S105 - no real one
_ROLES = "/latest/meta-data/iam/security-credentials/"
_ROLE = "node-role"


@dataclass
class MetadataService:
    """Gives nothing to who has not asked for a token first."""

    url: str
    answered: list[tuple[str, int]] = field(default_factory=list)
    """Path and status of its answers."""

    @property
    def env(self) -> dict[str, str | None]:
        """Of a container that has no keys of its own."""
        return {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
            "AWS_EC2_METADATA_DISABLED": None,
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
        }


@contextmanager
def serve(credentials: Credentials) -> Iterator[MetadataService]:
    """Listen on a free port of loopback while the context lasts."""
    service = MetadataService("")
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(service, credentials)) as server:
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield service
        server.shutdown()


def _handler(service: MetadataService, credentials: Credentials) -> type[BaseHTTPRequestHandler]:
    keys = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": credentials.access_key,
        "SecretAccessKey": credentials.secret_key,
        "Token": credentials.session_token,
        "LastUpdated": "2020-01-01T00:00:00Z",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    pages = {_ROLES: _ROLE, _ROLES + _ROLE: json.dumps(keys)}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asks = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
            self._send(200 if asks else 400, _TOKEN if asks else "")

        def do_GET(self) -> None:
            if self.headers["X-aws-ec2-metadata-token"] != _TOKEN:
                self._send(401, "")
            elif self.path not in pages:
                self._send(404, "")
            else:
                self._send(200, pages[self.path])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own name
            pass

        def _send(self, status: int, text: str) -> None:
            service.answered.append((self.path, status))
            body = text.encode()
            self.send_response(status)
            self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
