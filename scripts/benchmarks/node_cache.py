"""The node cache: how soon the first, the second and ten pods at once have a model, and what it costs the node.

The driver runs in a mount namespace of its own, without kubelet. S3 is rclone on loopback, limited to a bandwidth.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.models import BUCKET, FLAGS, FOLDER, MIB, PARTS, URI, environment, write_model
from benchmarks.processes import pss_mib, sampled, tree
from benchmarks.report import Bound, Figure, compared, median, missing
from tests.node_cache.driver import Node, running_node
from tests.support import programs, rclone
from tests.support.container import InitContainer
from tests.support.polling import until

TOGETHER: Final = 10
_TIME: Final = "Node cache: seconds until the volume is mounted"
_BYTES: Final = "Node cache: what S3 sent"
_MEMORY: Final = "Node cache: memory of the driver with its worker, PSS"
_SECOND: Final = "node-cache: the second pod"
_WAITING: Final = f"largest, while {TOGETHER} pods wait for a download"
_IDLE: Final = "idle, when the worker has ended"
_AT_MOST, _PEAK, _AT_REST = Bound(0.1), Bound(128), Bound(64)
_NEEDS: Final = "needs root, to mount volumes"
_LIMIT_SECONDS: Final = 900
_IDLE_SECONDS: Final = 90
"""The worker ends after half a minute without requests."""


class Server(NamedTuple):
    """The S3 server."""

    endpoint: str
    pid: int

    def sent(self) -> int:
        """The bytes that it has written until now."""
        counters = Path(f"/proc/{self.pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in counters)["wchar"])


@dataclass
class Measured:
    """The rounds: seconds by what was mounted, bytes that S3 sent, and MiB."""

    script: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)


def measure(work: Path, rounds: int, mib: int, bandwidth: str) -> Iterator[Figure]:
    """In each round: the init container's script, then one pod and a second, then ten pods at once on another node."""
    if os.geteuid():
        yield missing(_TIME, _SECOND, _NEEDS, _AT_MOST)
        yield missing(_MEMORY, _WAITING, _NEEDS, _PEAK)
        yield missing(_MEMORY, _IDLE, _NEEDS, _AT_REST)
        return
    write_model(work / "s3" / BUCKET / FOLDER, mib, 4, 300)
    found = Measured()
    with _serving(work, bandwidth) as server:
        for number in range(rounds):
            found.script.append(_script(work / f"script-{number}", server))
            with _node(server, mib) as node:
                found.first.append(_mount(node, "first"))
                found.second.append(_mount(node, "second"))
            with _node(server, mib) as node, sampled(node.process.pid if node.process else 0) as peak:
                before = server.sent()
                found.together.append(asyncio.run(_mount_together(node)))
                found.sent.append((server.sent() - before) / MIB)
                found.idle.append(_idle(node))
            found.peak.append(peak.mib)
    yield from _figures(found)


def _figures(found: Measured) -> Iterator[Figure]:
    script, first = "s3-init: the init container", "node-cache: the first pod"
    yield Figure(_TIME, script, "s", median(found.script), is_other=True)
    yield compared(Figure(_TIME, first, "s"), found.first, script, found.script)
    yield compared(Figure(_TIME, _SECOND, "s"), found.second, first, found.first, _AT_MOST)
    together = Figure(_TIME, f"node-cache: {TOGETHER} pods at once, the last", "s")
    yield compared(together, found.together, first, found.first)
    yield Figure(_BYTES, f"for {TOGETHER} pods at once", "MiB", median(found.sent))
    yield Figure(_MEMORY, _WAITING, "MiB", max(found.peak), bound=_PEAK)
    yield Figure(_MEMORY, _IDLE, "MiB", median(found.idle), bound=_AT_REST)


@contextmanager
def _serving(work: Path, bandwidth: str) -> Iterator[Server]:
    before = set(tree(os.getpid()))
    with rclone.serve(work / "s3", work / "s3.log", bandwidth=bandwidth) as endpoint:
        (pid,) = set(tree(os.getpid())) - before
        yield Server(endpoint, pid)


def _script(work: Path, server: Server) -> float:
    """The seconds of the init container's script."""
    work.mkdir()
    volume = work / "volume"
    container = InitContainer(
        f"{URI}/*", volume, programs.install_image(work / "image"), environment(server.endpoint, work), work
    )
    outcome = container(limit=_LIMIT_SECONDS, parts=PARTS, flags=FLAGS)
    if outcome.reason != "Complete":
        raise RuntimeError(outcome.log)
    shutil.rmtree(volume)
    return outcome.seconds


@contextmanager
def _node(server: Server, mib: int) -> Iterator[Node]:
    """A node with an empty cache."""
    settings = {
        "bucket": BUCKET,
        "endpointUrl": server.endpoint,
        "region": "us-east-1",
        "options": {"budget": f"{2 * mib + 1024}Mi"},
    }
    keys = (rclone.ACCESS_KEY, rclone.SECRET_KEY)
    with running_node(settings, AWS_ACCESS_KEY_ID=keys[0], AWS_SECRET_ACCESS_KEY=keys[1]) as node:
        yield node


def _mount(node: Node, pod: str) -> float:
    started = time.perf_counter()
    node.mount(pod, _LIMIT_SECONDS, version="1.2.3")
    return time.perf_counter() - started


async def _mount_together(node: Node) -> float:
    started = time.perf_counter()
    pods = (node.publish(f"pod-{number}", _LIMIT_SECONDS, version="1.2.3") for number in range(TOGETHER))
    await asyncio.gather(*pods)
    return time.perf_counter() - started


def _idle(node: Node) -> float:
    """The PSS of the driver, once its worker has ended. Raises RuntimeError if the driver has ended as well."""
    until(lambda: not node.workers(), _IDLE_SECONDS)
    if node.process is None or node.process.poll() is not None:
        raise RuntimeError(f"the driver has ended: {node.log()[-3:]}")
    return pss_mib(node.process.pid)
