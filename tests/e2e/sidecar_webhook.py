"""Another team's mutating webhook, which runs as a process or in a pod: python3 sidecar_webhook.py HOST PORT CERT KEY.

/sidecar adds a container to pods, and /strip removes their init containers.
"""

import base64
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Handler(BaseHTTPRequestHandler):
    """Answers AdmissionReviews."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """One review."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        patch = base64.b64encode(json.dumps(_patch(self.path, request["object"])).encode()).decode()
        response = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the parameter there
        """Quiet."""


def _patch(path: str, pod: dict[str, Any]) -> list[dict[str, Any]]:
    if path.startswith("/strip"):
        return [{"op": "remove", "path": "/spec/initContainers"}] if pod["spec"].get("initContainers") else []
    containers = pod["spec"]["containers"]
    if any(container["name"] == "sidecar" for container in containers):
        return []
    sidecar = {
        "name": "sidecar",
        "image": containers[0]["image"],
        "command": ["python3", "-c", "import time; time.sleep(3600)"],
        "securityContext": _RESTRICTED,
    }
    return [{"op": "add", "path": "/spec/containers/-", "value": sidecar}]


def main() -> None:
    """Serve until the process ends."""
    host, port, certificate, key = sys.argv[1:]
    server = ThreadingHTTPServer((host, int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"serving on {server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
