"""A stand-in for the EKS Pod Identity agent, which gives a node's pods their credentials."""

import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """What the agent gives to who shows the right token."""

    access_key: str
    secret_key: str
    session_token: str = "IQoJb3JpZ2luX2VjEXAMPLESESSIONTOKEN/with+odd=characters=="  # noqa: S105 - no real one

    def secrets(self) -> tuple[str, str]:
        """What no log may show."""
        return self.secret_key, self.session_token


class _IPv6Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@dataclass
class PodIdentityAgent:
    """Listens on loopback from `come_up` on; before, its port refuses connections, as when the agent's pod is late.

    `token_file` is what kubelet projects into the pod: the agent answers nobody who does not send its content.
    """

    credentials: Credentials
    token_file: Path
    address: str = "127.0.0.1"
    """Of loopback, IPv4 or IPv6."""
    answered: list[int] = field(default_factory=list)
    """The statuses of its answers."""

    def __post_init__(self) -> None:
        server = _IPv6Server if ":" in self.address else ThreadingHTTPServer
        self._server = server((self.address, 0), self._handler(), bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.server_bind()
        self._thread: threading.Thread | None = None

    @property
    def env(self) -> dict[str, str | None]:
        """What EKS' webhook adds to a container, and no keys beside it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{host}:{self._server.server_port}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token_file),
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
        }

    def come_up(self) -> None:
        """Start to answer."""
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, whether it came up or not."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, str]]:
        if path != "/v1/credentials":
            return 404, {"message": "no such page"}
        if authorization != self.token_file.read_text():
            return 401, {"message": "the token is missing or wrong"}
        return 200, {
            "AccessKeyId": self.credentials.access_key,
            "SecretAccessKey": self.credentials.secret_key,
            "Token": self.credentials.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
            "AccountId": "123456789012",
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = agent._answer(self.path, self.headers["Authorization"])
                agent.answered.append(status)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own name
                pass

        return Handler
