"""The driver as kubelet sees it: a real process, real mounts, and S3 over HTTP."""

import asyncio
import fcntl
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from grpclib.exceptions import GRPCError

from tests.catalog.conftest import PREFIX
from tests.node_cache.conftest import SMALL, on_both_disks, publish
from tests.node_cache.driver import POD, Node, running_node, status_of
from tests.support.faults import SLOW_DOWN, Answer, Request, Stall, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from tests.support.polling import until
from webhook.catalog.bucket.store import Store

MIB = 1 << 20
RANDOM = random.Random(7)  # noqa: S311 - content of files


def of_model(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files without those that publishing adds."""
    return {name: content for name, content in files.items() if name not in ("manifest.json", "SHA256SUMS")}


def is_weights(request: Request) -> bool:
    """Whether it downloads a part of the weights. One byte shows that a pod may read them, and is no part."""
    return request.is_download() and "/weights" in request.key and request.headers.get("range") != "bytes=0-0"


def is_part_of(name: str) -> Callable[[Request], bool]:
    return lambda request: is_weights(request) and download_of(name)(request)


def refusal(node: Node, **attributes: str) -> tuple[str, str]:
    with pytest.raises(GRPCError) as error:
        node.mount("refused", 60, **attributes)
    assert "refused" not in node.mounted()
    return status_of(error.value)


@on_both_disks
def test_a_pod_gets_the_files_read_only_and_the_next_pod_needs_no_download(node: Node, proxy: FaultyProxy) -> None:
    node.mount("first")
    assert of_model(node.files("first")) == SMALL
    assert {"manifest.json", "SHA256SUMS"} <= node.files("first").keys()
    assert {"ro", "nosuid", "nodev"} <= set(node.mounted()["first"].split(","))
    asked = proxy.count(is_weights)
    node.mount("second")
    assert node.files("second") == node.files("first")
    assert proxy.count(is_weights) == asked
    assert (node.metrics()["hits_total"], node.metrics()["misses_total"]) == (1, 1)
    assert (node.metrics()["versions"], node.metrics()["mounted_versions"]) == (1, 1)


def test_ten_pods_at_once_cause_one_download(store: Store, node: Node, proxy: FaultyProxy, tmp_path: Path) -> None:
    publish(store, tmp_path, {"weights.bin": RANDOM.randbytes(3 * MIB)}, "2.0.0")
    pods = [f"pod-{number}" for number in range(10)]

    async def all_at_once() -> None:
        await asyncio.gather(*(node.publish(pod, version="2.0.0") for pod in pods))

    asyncio.run(all_at_once())
    assert sorted(node.mounted()) == sorted(pods)
    assert proxy.count(is_part_of("2.0.0/weights.bin")) == 1
    assert node.metrics()["downloaded_bytes_total"] < 4 * MIB


@on_both_disks
def test_a_version_stays_after_the_driver_was_replaced(node: Node, proxy: FaultyProxy) -> None:
    node.mount("before")
    assert node.stop() == 0
    assert of_model(node.files("before")) == SMALL
    asked = proxy.count(is_weights)
    node.start()
    node.mount("after")
    assert proxy.count(is_weights) == asked
    node.unmount("before")
    assert list(node.mounted()) == ["after"]


def test_a_pod_is_told_how_far_the_download_is_before_kubelet_gives_up(node: Node, proxy: FaultyProxy) -> None:
    proxy.inject(Stall(), is_weights)
    answers = list[GRPCError]()

    def is_told() -> bool:  # the first call may have to wait for the worker to start
        with pytest.raises(GRPCError) as error:
            node.mount("early", seconds=6)
        answers.append(error.value)
        return "downloading: 0.0 of 0.0 GiB" in str(error.value)

    until(is_told)
    assert {status_of(answer) for answer in answers} == {("ABORTED", "NotReady")}


def test_a_download_that_fails_when_nobody_waits_any_more_is_no_fault_of_the_driver(
    node: Node, proxy: FaultyProxy
) -> None:
    proxy.inject(Stall(), is_weights)
    with pytest.raises(GRPCError, match="NotReady"):
        node.mount(seconds=8)
    proxy.heal()
    proxy.inject(Answer(403, b"<Error><Code>AccessDenied</Code></Error>"), is_weights)
    until(lambda: node.report().versions == ())
    assert refusal(node) == ("PERMISSION_DENIED", "Unauthorized")
    assert not [line for line in node.log() if line["level"] == "error"]


def test_a_download_continues_where_the_killed_one_was(
    store: Store, node: Node, proxy: FaultyProxy, tmp_path: Path
) -> None:
    files = {f"weights-{number}.bin": RANDOM.randbytes(40 * MIB) for number in range(2)}
    publish(store, tmp_path, files, "2.0.0")
    proxy.inject(Stall(), is_part_of("2.0.0/weights-1.bin"))

    def has_first_file() -> bool:
        lists = [path.read_text().splitlines() for path in (node.cache / "partial").glob("*/parts")]
        return any(len([line for line in lines if line.startswith("0 ")]) == 2 for lines in lists)

    async def ask_and_kill() -> None:
        asked = asyncio.create_task(node.publish(version="2.0.0"))
        while not has_first_file():
            await asyncio.sleep(0.02)
        node.kill()
        await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(ask_and_kill())
    proxy.heal()
    proxy.requests.clear()
    node.start()
    node.insist(version="2.0.0")
    assert of_model(node.files()) == files
    assert proxy.count(is_part_of("2.0.0/weights-0.bin")) == 0


def test_a_file_that_is_overwritten_during_its_download_is_no_mix_of_both(
    store: Store, node: Node, proxy: FaultyProxy, bucket: MotoBucket, tmp_path: Path
) -> None:
    before, after = (letter * 40 * MIB for letter in (b"a", b"b"))
    publish(store, tmp_path, {"weights.bin": before}, "2.0.0")

    def is_second_part(request: Request) -> bool:
        return is_weights(request) and request.headers["range"].startswith("bytes=33554432-")

    proxy.inject(SLOW_DOWN, is_second_part)

    async def overwrite() -> tuple[str, str]:
        asked = asyncio.create_task(node.publish(version="2.0.0"))
        while not proxy.count(is_second_part):
            await asyncio.sleep(0.02)
        bucket.put(f"{PREFIX}/my-model-2.0.0/weights.bin", after)
        proxy.heal()
        with pytest.raises(GRPCError, match=r"overwritten during the download") as error:
            await asked
        return status_of(error.value)

    assert asyncio.run(overwrite()) == ("DATA_LOSS", "Corrupt")
    node.mount(version="2.0.0")
    assert of_model(node.files())["weights.bin"] == after


def test_a_file_that_differs_from_its_manifest_in_size_is_not_downloaded(
    node: Node, proxy: FaultyProxy, bucket: MotoBucket
) -> None:
    bucket.put(f"{PREFIX}/my-model-1.0.0/weights/0.bin", b"w" * 999)
    assert refusal(node) == ("DATA_LOSS", "Corrupt")
    assert proxy.count(is_weights) == 0


def test_refusals_have_a_reason_and_a_code(node: Node, proxy: FaultyProxy) -> None:
    assert refusal(node, version="9.9.9") == ("NOT_FOUND", "NotFound")
    assert refusal(node, model="../../etc") == ("INVALID_ARGUMENT", "InvalidArgument")
    assert refusal(node, source="nowhere") == ("INVALID_ARGUMENT", "InvalidArgument")
    assert refusal(node, version="latest") == ("INVALID_ARGUMENT", "InvalidArgument")
    assert refusal(node, digest="0" * 64) == ("DATA_LOSS", "Corrupt")
    assert refusal(node, verify="md5") == ("INVALID_ARGUMENT", "InvalidArgument")
    assert refusal(node, **{f"{POD}ephemeral": "false"}) == ("INVALID_ARGUMENT", "InvalidArgument")
    assert refusal(node, **{f"{POD}pod.namespace": ""}) == ("INVALID_ARGUMENT", "InvalidArgument")
    proxy.inject(Answer(403, b"<Error><Code>AccessDenied</Code></Error>"), Request.is_download)
    assert refusal(node) == ("PERMISSION_DENIED", "Unauthorized")


def test_a_rule_forbids_also_a_volume_that_its_author_wrote_by_hand(
    store: Store, settings: dict[str, Any], tmp_path: Path
) -> None:
    publish(store, tmp_path, SMALL)
    rules = [{"namespaces": ["team-a"], "models": ["my-model"], "allow": False, "message": "ask us"}]
    with running_node({**settings, "rules": rules}) as node:
        with pytest.raises(GRPCError, match=r"Unauthorized: namespace team-a may not use model my-model.*ask us"):
            node.mount()
        node.mount("other", 60, **{f"{POD}pod.namespace": "team-b"})


def test_a_file_that_differs_from_its_hash_is_not_mounted(node: Node, proxy: FaultyProxy) -> None:
    proxy.inject(Answer(206, b"x" * 1000), download_of("weights/0.bin"))
    assert refusal(node, verify="sha256") == ("DATA_LOSS", "Corrupt")
    proxy.heal()
    node.mount(verify="sha256")
    assert of_model(node.files()) == SMALL


def test_what_was_checked_by_size_is_hashed_for_a_pod_that_wants_it(node: Node, proxy: FaultyProxy) -> None:
    proxy.inject(Answer(206, b"x" * 1000), download_of("weights/0.bin"))
    node.mount("trusting")
    assert refusal(node, verify="sha256") == ("DATA_LOSS", "Corrupt")


@pytest.mark.parametrize("has_disk", [False, True])
def test_the_least_recently_mounted_version_makes_room_and_what_is_mounted_stays(
    has_disk: bool, store: Store, settings: dict[str, Any], tmp_path: Path
) -> None:
    for number in range(4):
        publish(store, tmp_path, {"weights.bin": bytes([number]) * 4 * MIB}, f"{number}.0.0")
    publish(store, tmp_path, {"weights.bin": b"x" * 20 * MIB}, "20.0.0")
    with running_node({**settings, "options": {"budget": "10Mi"}}, has_disk=has_disk) as node:
        node.mount("zero", version="0.0.0")
        node.mount("one", version="1.0.0")
        node.unmount("one")
        node.mount("two", version="2.0.0")
        assert (node.metrics()["evictions_total"], node.metrics()["versions"]) == (1, 2)
        kept = [{path.name for path in (node.cache / folder).iterdir()} for folder in ("versions", "locks")]
        assert kept[0] == kept[1]
        assert refusal(node, version="3.0.0") == ("RESOURCE_EXHAUSTED", "OutOfSpace")
        assert refusal(node, version="20.0.0") == ("RESOURCE_EXHAUSTED", "OutOfSpace")
        assert set(node.mounted()) == {"zero", "two"}
        assert set(of_model(node.files("zero"))["weights.bin"]) == {0}
        node.unmount("zero")
        node.mount("three", version="3.0.0")


def test_a_budget_that_was_lowered_is_kept_without_a_download(
    store: Store, settings: dict[str, Any], tmp_path: Path
) -> None:
    """As is the room on a disk that others fill."""
    for number in range(3):
        publish(store, tmp_path, {"weights.bin": bytes([number]) * 4 * MIB}, f"{number}.0.0")
    with running_node({**settings, "options": {"budget": "20Mi"}}) as node:
        for pod, version in (("zero", "0.0.0"), ("one", "1.0.0"), ("two", "2.0.0")):
            node.mount(pod, version=version)
        node.unmount("one")
        node.unmount("two")
        node.stop()
        node.settings["options"]["budget"] = "10Mi"
        node.start()
        until(lambda: node.metrics()["evictions_total"] == 1)
        assert {each.version for each in node.report().versions} == {"0.0.0", "2.0.0"}


def test_without_its_folder_it_says_so_and_a_new_process_heals(node: Node) -> None:
    node.mount("before")
    node.unmount("before")
    shutil.move(node.cache, node.cache.with_name("gone"))
    shutil.rmtree(node.cache.with_name("gone"))
    assert node.health() == 503
    with pytest.raises(GRPCError, match="was deleted"):
        node.mount()
    node.stop()
    node.start()
    node.mount()
    assert of_model(node.files()) == SMALL


def test_versions_that_somebody_deleted_are_fetched_again(node: Node) -> None:
    node.mount("before")
    node.unmount("before")
    for path in sorted((node.cache / "versions").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    node.mount()
    assert of_model(node.files()) == SMALL


def test_a_socket_that_was_deleted_is_created_again(node: Node) -> None:
    """kubelet drops a driver whose socket goes, and pods would wait for it for ever."""
    node.socket.unlink()
    until(node.socket.exists)
    node.insist()


def test_a_driver_that_was_replaced_ends_and_leaves_the_socket_to_its_successor(node: Node) -> None:
    before = node.process
    assert before
    node.start()
    assert before.wait(30) == 1
    assert node.socket.exists()
    node.mount()
    assert of_model(node.files()) == SMALL


def test_a_volume_that_was_removed_meanwhile_is_not_mounted_late(node: Node, proxy: FaultyProxy) -> None:
    """A pod is deleted during its download, and a mount in its folder would stay for ever."""
    proxy.inject(Stall(), is_weights)

    async def remove_and_heal() -> tuple[str, str]:
        asked = asyncio.create_task(node.publish())
        while not proxy.count(is_weights):
            await asyncio.sleep(0.02)
        await node.unpublish()
        proxy.heal()
        with pytest.raises(GRPCError) as error:
            await asked
        return status_of(error.value)

    assert asyncio.run(remove_and_heal()) == ("ABORTED", "NotReady")
    assert node.mounted() == {}
    node.insist()


def test_who_waits_for_a_download_that_checks_less_gets_a_check_of_its_own(node: Node, proxy: FaultyProxy) -> None:
    proxy.inject(Answer(206, b"x" * 1000), download_of("weights/0.bin"))

    async def both() -> tuple[BaseException | None, BaseException | None]:
        asked = (node.publish("by-size"), node.publish("by-hash", 60, verify="sha256"))
        return await asyncio.gather(*asked, return_exceptions=True)

    _, by_hash = asyncio.run(both())
    assert isinstance(by_hash, GRPCError)
    assert status_of(by_hash) == ("DATA_LOSS", "Corrupt")
    assert "by-hash" not in node.mounted()


@on_both_disks
def test_a_pod_waits_while_the_version_that_it_mounts_is_checked_or_removed(node: Node) -> None:
    node.mount("first")
    (lock,) = (node.cache / "locks").iterdir()
    with lock.open() as opened_lock:
        fcntl.flock(opened_lock, fcntl.LOCK_EX)  # as the worker does while it hashes the files
        with pytest.raises(GRPCError) as error:
            node.mount("second")
    assert status_of(error.value) == ("ABORTED", "NotReady")
    node.mount("second")


def test_a_restart_leaves_what_pods_mount_although_its_marker_is_damaged(node: Node) -> None:
    node.mount()
    (marker,) = (node.cache / "versions").glob("*/marker.json")
    marker.write_bytes(b"{}")
    node.stop()
    node.start()
    assert of_model(node.files()) == SMALL
