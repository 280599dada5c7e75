"""`kill -9`, and what the next process makes of what is left."""

import asyncio
import os
import random
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from grpclib.exceptions import GRPCError, StreamTerminatedError

from tests.node_cache.changed import POINTS, Changes
from tests.node_cache.conftest import SMALL, publish
from tests.node_cache.driver import Node, running_node, status_of
from tests.node_cache.test_driver import is_weights, of_model
from tests.node_cache.test_peers import free_port
from tests.support.faults import Stall, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.polling import until
from webhook.catalog.bucket.store import Store

PART = 1 << 18
PARTS = {"download.PART": PART}
RANDOM = random.Random(11)  # noqa: S311 - content of files
LARGE = {f"weights-{number}.bin": RANDOM.randbytes(3 * PART - 100) for number in range(4)}
_RANGE = re.compile(r"bytes=(\d+)-")


def asked_parts(proxy: FaultyProxy) -> list[tuple[int, int]]:
    """The parts of LARGE that were asked for, by the number of the file and of the part, sorted."""
    found = []
    for request in proxy.requests:
        name = request.key.rpartition("/")[2]
        if is_weights(request) and name in LARGE:
            start = _RANGE.match(request.headers["Range"])
            assert start
            found.append((list(LARGE).index(name), int(start[1]) // PART))
    return sorted(found)


ALL = [(file, part) for file in range(len(LARGE)) for part in range(3)]


def written_parts(node: Node) -> list[tuple[int, int]]:
    """The parts of LARGE that a download under way has recorded."""
    (listed,) = (node.cache / "partial").glob("*/parts")
    found = re.findall(r"^(\d+) (\d+)\.$", listed.read_text(), re.MULTILINE)
    return sorted({(int(file), int(part)) for file, part in found if int(file) < len(LARGE)})


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_that_is_killed_at_a_point_is_followed_by_one_that_continues(
    point: str, store: Store, settings: dict[str, Any], proxy: FaultyProxy, tmp_path: Path
) -> None:
    publish(store, tmp_path, LARGE)
    others = proxy.connections
    with running_node(settings, changes=Changes(PARTS, point)) as node:
        assert node.process
        with pytest.raises((StreamTerminatedError, OSError)):
            node.mount()
        assert node.process.wait(30) == -signal.SIGKILL
        for pod in node.mounted():
            assert of_model(node.files(pod)) == LARGE
        written = written_parts(node) if point == "when a part is written" else ALL
        assert written
        proxy.wait_for_end_of_connections(others)
        proxy.requests.clear()
        node.changes = Changes(PARTS)
        node.start()
        node.mount()
        assert of_model(node.files()) == LARGE
        assert asked_parts(proxy) == [part for part in ALL if part not in written]
        assert "ro" in node.mounted()["pod"].split(",")
        assert not list((node.cache / "partial").iterdir())
        node.unmount()
        assert node.mounted() == {}


def test_a_worker_that_is_killed_alone_is_followed_by_one_that_continues(
    store: Store, settings: dict[str, Any], proxy: FaultyProxy, tmp_path: Path
) -> None:
    publish(store, tmp_path, LARGE)
    proxy.inject(Stall(), download_of("weights-3.bin"))

    async def ask_and_kill(node: Node) -> GRPCError:
        asked = asyncio.create_task(node.publish())
        while not (proxy.count(download_of("weights-3.bin")) == 3 and len(written_parts(node)) == 9):
            await asyncio.sleep(0.01)
        (worker,) = node.workers()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(GRPCError) as error:
            await asked
        return error.value

    with running_node(settings, changes=Changes(PARTS)) as node:
        error = asyncio.run(ask_and_kill(node))
        assert status_of(error) == ("UNAVAILABLE", "Unreachable")
        assert "the worker has ended" in str(error)
        until(lambda: node.workers() == [])
        proxy.heal()
        proxy.requests.clear()
        node.mount()
        assert of_model(node.files()) == LARGE
        assert asked_parts(proxy) == ALL[9:]
        assert len(node.workers()) == 1
        assert node.metrics()['failures_total{reason="Unreachable"}'] == 1


def test_a_worker_that_nobody_asks_ends_and_the_next_question_starts_another(
    store: Store, settings: dict[str, Any], tmp_path: Path
) -> None:
    publish(store, tmp_path, SMALL)
    with running_node(settings, changes=Changes({"worker_client._LINGER_SECONDS": 0})) as node:
        for pod in ("first", "second"):
            node.mount(pod)
            until(lambda: node.workers() == [])
        assert len([line for line in node.log() if line["message"] == "volume mounted"]) == 2
        assert not [line for line in node.log() if line["level"] != "info"]


def test_a_worker_that_hangs_is_replaced(store: Store, settings: dict[str, Any], tmp_path: Path) -> None:
    publish(store, tmp_path, SMALL)
    with running_node(settings, changes=Changes({"worker_client._SILENT_SECONDS": 1})) as node:
        node.mount("before")
        (worker,) = node.workers()
        os.kill(worker, signal.SIGSTOP)
        with pytest.raises(GRPCError) as error:
            node.mount("during", seconds=7)
        assert status_of(error.value) == ("ABORTED", "NotReady")
        node.insist("after")
        assert worker not in node.workers()
        assert any(line["message"] == "the worker does not answer, and is killed" for line in node.log())


def test_a_worker_that_answers_slowly_stays(
    store: Store, settings: dict[str, Any], proxy: FaultyProxy, tmp_path: Path
) -> None:
    publish(store, tmp_path, SMALL)
    with running_node(settings, changes=Changes({"worker_client._SILENT_SECONDS": 3})) as node:
        proxy.inject(Stall(), is_weights)
        with pytest.raises(GRPCError, match="downloading"):
            node.mount("waiting", seconds=9)
        (worker,) = node.workers()
        proxy.heal()
        node.insist("waiting")
        assert node.workers() == [worker]


def test_a_job_that_fails_stops_the_driver_which_kubelet_starts_again(settings: dict[str, Any], key_file: Path) -> None:
    peers = {"service": "127.0.0.1", "port": free_port(), "address": "127.0.0.1", "keyFile": str(key_file)}
    no_float = Changes({"peer_server._RESTART_SECONDS": 10**400})
    with running_node({**settings, "options": {"peers": peers}}, changes=no_float) as node:
        assert node.process
        until(lambda: len(node.workers()) == 1)
        (server,) = node.workers()
        os.kill(server, signal.SIGKILL)
        assert node.process.wait(30) == 1
        assert any(line["message"] == "stopping, because a job has failed" for line in node.log())
