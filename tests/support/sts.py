"""A stand-in for STS over TLS, which turns a pod's web identity token into keys: IRSA."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.support.certificates import ServerCertificate
from tests.support.faults import Answer
from tests.support.pod_identity import Credentials

HOST = "sts.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/reads-models"


def sts_error(status: int, code: str) -> Answer:
    """An error in the form of STS."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>Of the stand-in.</Message></Error>"
    return Answer(status, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode())


@dataclass
class SecurityTokenService:
    """Gives the credentials to who shows the content of `token_file`, which is not there yet, and asks for ROLE."""

    credentials: Credentials
    token_file: Path
    url: str = ""
    answered: list[int] = field(default_factory=list)
    """The statuses of its answers."""
    errors: list[Answer] = field(default_factory=list)
    """What it answers first, each once."""

    @property
    def env(self) -> dict[str, str | None]:
        """What EKS' webhook adds to a container, and no keys beside it."""
        return {
            "AWS_ROLE_ARN": ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
        }

    def project_token(self) -> None:
        """What kubelet does: the token's file is there."""
        self.token_file.write_text("eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzdHMifQ.c2lnbmF0dXJl-_")

    def answer(self, body: str) -> Answer:
        """To a request's form."""
        if self.errors:
            return self.errors.pop(0)
        form = {name: values[-1] for name, values in parse_qs(body).items()}
        if (form["Action"], form["RoleArn"]) != ("AssumeRoleWithWebIdentity", ROLE):
            return sts_error(403, "AccessDenied")
        if form["WebIdentityToken"] != self.token_file.read_text():
            return sts_error(400, "InvalidIdentityToken")
        fields = {
            "AccessKeyId": self.credentials.access_key,
            "SecretAccessKey": self.credentials.secret_key,
            "SessionToken": self.credentials.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
        }
        keys = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        result = f"<AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult>"
        body = f"<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>"
        return Answer(200, body.encode())


@contextmanager
def serve(credentials: Credentials, token_file: Path, certificate: ServerCertificate) -> Iterator[SecurityTokenService]:
    """Listen on a free port of loopback while the context lasts."""
    service = SecurityTokenService(credentials, token_file)
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate.certificate, certificate.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(service)) as server:
        server.daemon_threads = True
        server.socket = trust.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        service.url = f"https://127.0.0.1:{server.server_port}"
        yield service
        server.shutdown()


def _handler(service: SecurityTokenService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = service.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())
            service.answered.append(answer.status)
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own name
            pass

    return Handler
