"""A driver in a mount namespace of its own, and what kubelet asks it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import GRPCError

from tests.node_cache.changed import NONE, Changes
from tests.support.folder import Folder
from tests.support.polling import until
from tests.support.programs import on_path
from webhook.node_cache.csi import CSI, REGISTRATION
from webhook.node_cache.report import PATH, NodeReport
from webhook.strategies.node_cache import DRIVER

POD = "csi.storage.k8s.io/"
ANSWERS = {
    "GetInfo": REGISTRATION["PluginInfo"],
    "NotifyRegistrationStatus": REGISTRATION["RegistrationStatusResponse"],
}
"""Those that are not named like their method."""
Asked = Mapping[str, str]


@dataclass
class Node:
    """The folders of a node, in a mount namespace that `holder` keeps, and the driver while it runs."""

    root: Path
    settings: dict[str, Any]
    holder: int
    env: dict[str, str] = field(default_factory=dict)
    changes: Changes = NONE
    arguments: tuple[str, ...] = ()
    """Those of the command, beside the file with settings."""
    process: subprocess.Popen[bytes] | None = None
    _port: int = 0

    @property
    def kubelet(self) -> Path:
        return self.root / "kubelet"

    @property
    def cache(self) -> Path:
        """The folder of the cache, as the driver sees it: it may have a disk of its own."""
        return Path(f"/proc/{self.holder}/root{self.root}/cache")

    @property
    def socket(self) -> Path:
        return self.kubelet / "plugins_registry" / f"{DRIVER}-reg.sock"

    def start(self) -> None:
        """Start the driver, and wait until it serves."""
        folders = {"folder": str(self.root / "cache"), "kubeletFolder": str(self.kubelet)}
        options = {"budget": "1Gi", "authenticationSource": "driver", **self.settings.get("options", {}), **folders}
        given = {name: value for name, value in self.settings.items() if name != "options"}
        server = {"host": "127.0.0.1", "opsPort": 0}
        file, log = self.root / "settings.yaml", self.root / "log"
        file.write_text(yaml.safe_dump({**given, "server": server, "strategies": {"node-cache": options}}))
        log.write_bytes(b"")
        inside = [
            str(on_path("nsenter", "util-linux")),
            "--mount",
            "--target",
            str(self.holder),
            f"--wdns={Path.cwd()}",
        ]
        program = ["tests.node_cache.changed", self.changes.encode()] if self.changes else ["webhook"]
        command = [*inside, sys.executable, "-m", *program, "node-cache", "--config", str(file), *self.arguments]
        with log.open("ab") as output:
            env = {**os.environ, "NODE_NAME": "node-1", **self.env}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
        until(self._has_started, 30)

    def _has_started(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.root / "log").read_text()
        started = [line for line in self.log() if line["message"] == "driver started"]
        is_listening = any(line["message"] == "listening" for line in self.log())
        self._port = started[0]["opsPort"] if started else 0
        return bool(started) and is_listening

    def log(self) -> list[dict[str, Any]]:
        """The lines that the driver and its worker have logged since the last start."""
        lines = (self.root / "log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def kill(self) -> None:
        """As the kernel does when there is no memory, or `kill -9`."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As kubelet does when the driver's pod is deleted. Returns the exit status."""
        assert self.process
        self.process.terminate()
        return self.process.wait(30)

    def workers(self) -> list[int]:
        """The process IDs of the driver's children, also of those that have ended and still have one."""
        assert self.process
        number = self.process.pid
        return [int(each) for each in Path(f"/proc/{number}/task/{number}/children").read_text().split()]

    def target(self, pod: str) -> Path:
        """Where kubelet wants a pod's volume."""
        return self.kubelet / "pods" / pod / "volumes" / "kubernetes.io~csi" / "model" / "mount"

    async def publish(self, pod: str = "pod", seconds: float = 60, **attributes: str) -> None:
        """Ask for a volume, as kubelet does. An attribute that is None is left out. Raises GRPCError."""
        self.target(pod).parent.mkdir(parents=True, exist_ok=True)
        await self.call("csi.v1.Node/NodePublishVolume", self.request(pod, **attributes), seconds)

    def request(self, pod: str = "pod", **attributes: str) -> Any:
        """NodePublishVolumeRequest, as kubelet makes it."""
        context = {
            "model": "my-model",
            "version": "1.0.0",
            f"{POD}ephemeral": "true",
            f"{POD}pod.name": pod,
            f"{POD}pod.namespace": "team-a",
            f"{POD}serviceAccount.name": "default",
            **attributes,
        }
        return CSI["NodePublishVolumeRequest"](
            volume_id=f"csi-{pod}",
            target_path=str(self.target(pod)),
            volume_capability=CSI["VolumeCapability"](mount=CSI["MountVolume"]()),
            readonly=True,
            volume_context=context,
        )

    async def unpublish(self, pod: str = "pod") -> None:
        """Ask to remove a volume."""
        await self.call("csi.v1.Node/NodeUnpublishVolume", self.removal(pod))

    def removal(self, pod: str = "pod") -> Any:
        """NodeUnpublishVolumeRequest."""
        return CSI["NodeUnpublishVolumeRequest"](volume_id=f"csi-{pod}", target_path=str(self.target(pod)))

    async def call(self, method: str, request: Any, seconds: float = 60) -> Any:
        """Call a method, by the name of its service and its own. Raises GRPCError."""
        name = method.partition("/")[2]
        answer = ANSWERS.get(name) or CSI.get(f"{name}Response", CSI["NodePublishVolumeResponse"])
        async with Channel(path=str(self.socket)) as channel:
            return await UnaryUnaryMethod(channel, f"/{method}", type(request), answer)(request, timeout=seconds)

    def mount(self, pod: str = "pod", seconds: float = 60, **attributes: str) -> None:
        """Ask once, and wait. Raises GRPCError."""
        asyncio.run(self.publish(pod, seconds, **attributes))

    def insist(self, pod: str = "pod", **attributes: str) -> None:
        """Ask until it is mounted, as kubelet does, whatever becomes of the driver."""

        def is_mounted() -> bool:
            with suppress(GRPCError, OSError):
                self.mount(pod, 60, **attributes)
                return True
            return False

        until(is_mounted)

    def unmount(self, pod: str = "pod") -> None:
        asyncio.run(self.unpublish(pod))

    def files(self, pod: str = "pod") -> dict[str, bytes]:
        """What the pod sees."""
        inside = Path(f"/proc/{self.holder}/root")
        return Folder(inside / self.target(pod).relative_to("/")).read()

    def mounted(self) -> dict[str, str]:
        """The mount options by pod."""
        lines = (line.split() for line in Path(f"/proc/{self.holder}/mountinfo").read_text().splitlines())
        return {Path(line[4]).parts[-5]: line[5] for line in lines if line[4].startswith(f"{self.kubelet}/")}

    @property
    def url(self) -> str:
        """That of the port for operators."""
        return f"http://127.0.0.1:{self._port}"

    def report(self) -> NodeReport:
        """What the cache has."""
        content = httpx.get(f"{self.url}{PATH}", trust_env=False).content
        return msgspec.json.decode(content, type=NodeReport)

    def metrics(self) -> dict[str, float]:
        """Values by the name without its prefix, and labels."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix("model_injector_node_cache_"): float(value) for name, _, value in lines}

    def health(self) -> int:
        """The status of /healthz."""
        return httpx.get(f"{self.url}/healthz", trust_env=False).status_code


@contextmanager
def running_node(
    settings: dict[str, Any],
    *,
    changes: Changes = NONE,
    arguments: tuple[str, ...] = (),
    has_disk: bool = False,
    **env: str,
) -> Iterator[Node]:
    """A node, in which the driver runs. Its folder has a short name, as paths of sockets must.

    With `has_disk`, the cache is on a file system of its own.
    """
    unshare = str(on_path("unshare", "util-linux"))
    if subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets us have no mounts of our own: run as root")
    mounting = 'mkdir "$1" && mount -t tmpfs -o size=256m,mode=755 none "$1" && ' if has_disk else ""
    holding = [unshare, "--mount", "sh", "-c", f"{mounting}echo ready && exec cat", "sh"]
    with (
        TemporaryDirectory(prefix="node-", ignore_cleanup_errors=True) as root,
        subprocess.Popen([*holding, f"{root}/cache"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder,
    ):
        Path(root).chmod(0o711)  # as /var/lib is: the worker may be another user
        assert holder.stdout
        assert holder.stdout.readline() == b"ready\n"
        node = Node(Path(root), settings, holder.pid, env, changes, arguments)
        try:
            node.start()
            yield node
        finally:
            if node.process and node.process.poll() is None:
                node.kill()
            holder.communicate()


def status_of(error: GRPCError) -> tuple[str, str]:
    """The code, and the reason at the beginning of the message."""
    return error.status.name, (error.message or "").partition(":")[0]
