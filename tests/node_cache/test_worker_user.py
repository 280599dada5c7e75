"""`--worker-user`: the driver is root, and what talks to S3 and writes the cache is a user without rights."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node_cache.conftest import SMALL, publish
from tests.node_cache.driver import Node, running_node
from tests.node_cache.test_driver import is_weights, of_model
from tests.support.faulty_proxy import FaultyProxy
from webhook.catalog.bucket.store import Store

USER = 65532


@pytest.fixture
def node(store: Store, settings: dict[str, Any], tmp_path: Path) -> Iterator[Node]:
    """A node whose cache belongs to another user, and the version 1.0.0 of SMALL."""
    if os.geteuid():
        pytest.skip("only root can run the worker as another user")
    command = [sys.executable, "-c", "import webhook.node_cache.worker, boto3"]
    try:
        done = subprocess.run(command, user=USER, group=USER, extra_groups=[], capture_output=True, check=False)
    except PermissionError:
        pytest.skip(f"user {USER} may not run {sys.executable}")
    if done.returncode:
        pytest.skip(f"user {USER} may not read the program's files: {done.stderr.decode().splitlines()[-1]}")
    publish(store, tmp_path, SMALL)
    with running_node(settings, arguments=("--worker-user", str(USER))) as node:
        yield node


def status(process: int) -> dict[str, list[str]]:
    """The lines of proc(5)'s status, by name."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def test_the_worker_has_no_rights_and_owns_the_cache(node: Node) -> None:
    node.mount()
    assert of_model(node.files()) == SMALL
    (worker,) = node.workers()
    found = status(worker)
    assert (found["Uid"], found["Gid"], found["Groups"]) == ([str(USER)] * 4, [str(USER)] * 4, [])
    assert {int(found[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert found["NoNewPrivs"] == ["1"]
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in (node.cache, *node.cache.rglob("*"))}
    assert owners - {(USER, 0)} == {(USER, USER)}  # the driver acts as the user, and keeps its group
    assert node.cache.stat().st_mode & 0o777 == 0o700


def test_what_it_wrote_is_mounted_read_only_also_for_root(node: Node) -> None:
    node.mount()
    assert {"ro", "nosuid", "nodev"} <= set(node.mounted()["pod"].split(","))
    inside = Path(f"/proc/{node.holder}/root{node.target('pod')}")
    with pytest.raises(OSError, match="Read-only file system"):
        (inside / "config.json").write_bytes(b"")
    node.unmount()
    assert node.mounted() == {}
    assert not list((node.cache / "volumes").iterdir())


def test_a_restart_as_the_same_user_knows_what_is_there(node: Node, proxy: FaultyProxy) -> None:
    node.mount("before")
    node.stop()
    proxy.requests.clear()
    node.start()
    node.mount("after")
    assert proxy.count(lambda request: is_weights(request) and request.method == "GET") == 0
    assert node.report().versions[0].volumes == 2


def test_nothing_that_the_worker_could_leave_blocks_the_driver(node: Node) -> None:
    """It owns the folder, so what the driver reads there may be a pipe, a device, or a link to anything."""
    node.mount("before")
    (key,) = (path.name for path in (node.cache / "versions").iterdir())
    for name in (f"locks/{key}", "volumes/0", "volumes/1", "partial/0"):
        (node.cache / name).unlink(missing_ok=True)
    os.mkfifo(node.cache / "locks" / key)
    os.mkfifo(node.cache / "volumes" / "0")
    (node.cache / "volumes" / "1").symlink_to("/dev/zero")
    (node.cache / "partial" / "0").symlink_to("/")
    for path in (node.cache / "locks" / key, node.cache / "volumes" / "0"):
        os.chown(path, USER, USER)
    node.mount("after")
    assert node.report().used < 1 << 20
    node.stop()
    node.start()
    node.mount("later")
    assert set(node.mounted()) == {"before", "after", "later"}
