"""The webhook as a real process: `model-injector serve`, over TLS, with a certificate from a throwaway authority."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from certs import Authority

HOST = "localhost"
SETTINGS = {"bucket": "my-ml-bucket", "prefix": "model-artifacts"}
"""The guide's bucket: settings that are enough to start."""
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: without it, httpx reads all public authorities for each request, which takes some 20 ms."""
_START_SECONDS = 30
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Webhook:
    """A running webhook. `folder` has its certificate, key and authority (tls.crt, tls.key, ca.crt) and its log."""

    port: int
    ops_port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it takes reviews from."""
        return f"https://{HOST}:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client needs to trust it."""
        return ssl.create_default_context(cafile=str(self.folder / "ca.crt"))

    def client(self, address: str | None = None) -> httpx.Client:
        """A client that trusts it. `address` is the client's own, on loopback: some limits are for each address."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=address)
        return httpx.Client(base_url=self.url, transport=transport, timeout=30, trust_env=False)

    def ops(self, path: str) -> httpx.Response:
        """What its plain port answers."""
        return httpx.get(f"http://127.0.0.1:{self.ops_port}{path}", timeout=30, trust_env=False, verify=_NO_AUTHORITIES)

    def metrics(self) -> dict[str, float]:
        """What /metrics shows: values by name and labels."""
        lines = (line.rpartition(" ") for line in self.ops("/metrics").text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def log(self) -> list[dict[str, Any]]:
        """The lines that it has logged."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


def write_certificate(folder: Path, authority: Authority) -> None:
    """A new leaf for the webhook's host, as the files that it reads."""
    leaf = authority.issue([HOST, "127.0.0.1"])
    (folder / "tls.crt").write_bytes(leaf.certificate)
    (folder / "tls.key").write_bytes(leaf.key)
    (folder / "ca.crt").write_bytes(authority.certificate)


@contextmanager
def running_webhook(
    folder: Path,
    settings: Mapping[str, Any],
    authority: Authority | None = None,
    *,
    env: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
    program: Sequence[str | Path] = (sys.executable, "-m", "webhook"),
) -> Iterator[Webhook]:
    """Run a webhook on free ports of loopback for as long as the context lasts.

    `env` is added to its environment; `wrapper` is a command that runs `program`, which is this environment's.
    """
    write_certificate(folder, authority or Authority.create())
    files = {"tlsCert": str(folder / "tls.crt"), "tlsKey": str(folder / "tls.key")}
    server = {"host": "127.0.0.1", "port": 0, "opsPort": 0, "drain": 1, **files, **settings.get("server", {})}
    config = folder / "settings.yaml"
    config.write_text(yaml.safe_dump({**settings, "server": server}))
    command = [*wrapper, *program, "serve", "--config", str(config)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODEL_INJECTOR_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**inherited, **(env or {})},
            start_new_session=True,
        )
    try:
        line = _serving(folder / "log", process)
        yield Webhook(line["port"], line["opsPort"], folder, process)
    finally:
        process.terminate()
        process.send_signal(signal.SIGINT)  # a second one: nobody is left to wait for
        try:
            process.wait(_STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a wrapper's child as well
            process.wait()


def _serving(log: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"message":"serving"' in line:
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(0.02)
    raise RuntimeError(f"the webhook did not start: {log.read_text()}")
