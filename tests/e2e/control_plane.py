"""etcd, kube-apiserver and kube-controller-manager on loopback, as processes that end with the tests.

There is no scheduler and no kubelet: pods are created and stay Pending.
"""

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certs import Authority
from tests.support.polling import until
from tests.support.programs import MissingProgram

_SERVICES = "10.0.0.0/24"
_CONTROLLERS = "kube-controller-manager"


@contextmanager
def running(binaries: Path, folder: Path) -> Iterator[Path]:
    """Run a control plane from these binaries for as long as the context lasts; gives its kubeconfig.

    Without kube-controller-manager among them, Deployments and Jobs get no pods, and namespaces are not deleted.
    """
    api, etcd, peers = _free_ports(3)
    token = secrets.token_hex(16)
    authority = Authority.create()
    leaf = authority.issue(["localhost", "127.0.0.1"])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for name, content in {
        "ca.crt": authority.certificate,
        "api.crt": leaf.certificate,
        "api.key": leaf.key,
        "accounts.key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
        "tokens.csv": f'{token},admin,admin,"system:masters"\n'.encode(),
    }.items():
        (folder / name).write_bytes(content)
    url = f"https://127.0.0.1:{api}"
    kubeconfig = write_kubeconfig(folder / "kubeconfig", url, authority.certificate, token)
    with ExitStack() as stack:
        start = _Starting(stack, folder)
        start(_etcd(binaries, folder, etcd, peers))
        server = start(_api_server(binaries, folder, api, etcd))
        _await_ready(server, url, folder, token)
        if has_controllers(binaries):
            start(_controller_manager(binaries / _CONTROLLERS, folder, kubeconfig))
        yield kubeconfig


def has_controllers(binaries: Path) -> bool:
    """Whether these binaries include the controllers of Kubernetes, which setup-envtest leaves out."""
    return (binaries / _CONTROLLERS).exists()


def write_kubeconfig(path: Path, server: str, authority: bytes, token: str) -> Path:
    """A kubeconfig of one user with a token."""
    (path.parent / f"{path.name}.ca").write_bytes(authority)
    cluster = {"server": server, "certificate-authority": str(path.parent / f"{path.name}.ca")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": cluster}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
        "current-context": "e2e",
    }
    path.write_text(json.dumps(content))
    return path


def _etcd(binaries: Path, folder: Path, port: int, peers: int) -> Sequence[str | Path]:
    program = shutil.which("etcd", path=f"{binaries}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        raise MissingProgram(f"etcd is missing in {binaries} and on PATH: apt-get install etcd-server")
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return (
        program,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def _api_server(binaries: Path, folder: Path, port: int, etcd: int) -> Sequence[str | Path]:
    accounts = folder / "accounts.key"
    return (
        binaries / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={folder / 'api.crt'}",
        f"--tls-private-key-file={folder / 'api.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--service-account-key-file={accounts}",
        f"--service-account-signing-key-file={accounts}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={_SERVICES}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        # Its address is on loopback, which the endpoints of the Service `kubernetes` cannot have.
        "--endpoint-reconciler-type=none",
        # A Service of the type ExternalName leads to a webhook on this machine.
        "--enable-aggregator-routing=false",
    )


def _controller_manager(program: Path, folder: Path, kubeconfig: Path) -> Sequence[str | Path]:
    return (
        program,
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={folder / 'accounts.key'}",
        f"--root-ca-file={folder / 'ca.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )


class _Starting:
    """Starts processes that end when the stack is closed, the last one first."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder

    def __call__(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._folder / f"{Path(command[0]).name}.log").open("wb"))
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
        )
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_ready(server: subprocess.Popen[bytes], url: str, folder: Path, token: str) -> None:
    """Wait for the API server. Raises RuntimeError with its log if it ends."""
    trust = ssl.create_default_context(cafile=folder / "ca.crt")

    def is_ready() -> bool:
        if server.poll() is not None:
            raise RuntimeError((folder / "kube-apiserver.log").read_text()[-2000:])
        try:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.get(f"{url}/readyz", headers=headers, verify=trust, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    until(is_ready, seconds=120)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
