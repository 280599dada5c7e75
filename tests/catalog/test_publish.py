"""Publishing: once, whole, or not at all."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.catalog.conftest import PREFIX, Read, folder_of, published, source
from tests.support.faults import ACCESS_DENIED, Drop, Edit, Request, s3_error
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.manifest import decode, digest
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.local import scan
from webhook.catalog.publishing.publish import AlreadyPublished, plan, publish
from webhook.catalog.resolution import UnknownModel, Unpublished
from webhook.errors import InvalidInput

FOLDER = "my-model-1.2.3"
SOME = {"weights_bin": b"w" * 1000, "config_json": b"{}", "tokenizer__vocab_txt": b"a\nb\n"}


def keys(store: Store, folder: str = FOLDER) -> dict[str, int]:
    return {each.key: each.size for each in store.objects(f"{folder}/")}


def ignore(_: int) -> None:
    """Progress that nobody watches."""


def put_of(name: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and request.key.endswith(name)


def test_a_version_is_its_files_their_sums_and_a_manifest(store: Store, tmp_path: Path) -> None:
    manifest = published(store, folder_of(tmp_path / "m", **SOME), "1.2.3", labels={"team": "ml"})
    assert keys(store).keys() == {
        "weights.bin",
        "config.json",
        "tokenizer/vocab.txt",
        "SHA256SUMS",
        "manifest.json",
    }
    stored = store.read(f"{FOLDER}/manifest.json", 10**6).body
    assert decode(stored) == manifest
    assert (manifest.model, manifest.version, manifest.labels) == ("my-model", "1.2.3", {"team": "ml"})
    assert [(file.path, file.size) for file in manifest.files] == [
        ("config.json", 2),
        ("tokenizer/vocab.txt", 4),
        ("weights.bin", 1000),
    ]


def test_sha256sum_takes_the_sums(store: Store, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", **SOME)
    published(store, folder, "1.2.3")
    sums = store.read(f"{FOLDER}/SHA256SUMS", 10**6).body
    subprocess.run(["sha256sum", "-c", "--strict"], cwd=folder, input=sums, check=True, capture_output=True)  # noqa: S607


def test_the_manifest_comes_last_and_only_where_there_is_none(store: Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    puts = [request for request in proxy.requests if request.method == "PUT"]
    assert [request.key.rpartition("/")[2] for request in puts[-2:]] == ["SHA256SUMS", "manifest.json"]
    assert puts[-1].headers["If-None-Match"] == "*"
    assert puts[0].key == f"{PREFIX}/.publishing/{FOLDER}"


def test_nothing_of_the_upload_but_the_version_stays(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    assert list(store.objects(".publishing/")) == []


def test_tags_stand_on_the_manifest(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3", tags={"published": "true", "a b": "c=d"})
    assert store.tags(f"{FOLDER}/manifest.json") == {"published": "true", "a b": "c=d"}


def test_a_version_never_changes(store: Store, tmp_path: Path) -> None:
    manifest = published(store, tmp_path / "m", "1.2.3")
    before = keys(store)
    with pytest.raises(AlreadyPublished, match="never change"):
        published(store, folder_of(tmp_path / "other", **SOME), "1.2.3")
    with pytest.raises(AlreadyPublished, match="never change"):
        published(store, folder_of(tmp_path / "other", **SOME), "1.2.3", restart=True)
    assert keys(store) == before
    assert digest(store.read(f"{FOLDER}/manifest.json", 10**6).body) == digest(manifest.encode())


@pytest.mark.parametrize("name", ["weights.bin", "SHA256SUMS", "manifest.json"])
@pytest.mark.parametrize("fault", [Drop(), s3_error(503, "InternalError", "x"), ACCESS_DENIED])
def test_what_fails_half_way_counts_as_nothing_and_goes_on_where_it_stopped(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path, name: str, fault: Drop
) -> None:
    folder = folder_of(tmp_path / "m", **SOME)
    proxy.inject(fault, put_of(name))
    with pytest.raises(CatalogError):
        published(store, folder, "1.2.3")
    proxy.heal()
    reader = read(preflight="enforce")
    with pytest.raises(UnknownModel):
        reader.resolve("latest")
    with pytest.raises(UnknownModel):
        reader.resolve("1.2.3")
    proxy.requests.clear()
    published(store, folder, "1.2.3")
    again = {request.key.rpartition("/")[2] for request in proxy.requests if request.method == "PUT"}
    assert "config.json" not in again
    assert ("weights.bin" in again) == (name == "weights.bin")
    reader.refresh()
    assert reader.version("latest") == "1.2.3"


def test_an_upload_that_was_begun_is_unpublished_and_says_so(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path
) -> None:
    proxy.inject(Drop(), put_of("manifest.json"))
    with pytest.raises(CatalogError):
        published(store, tmp_path / "m", "1.2.3")
    proxy.heal()
    with pytest.raises(Unpublished, match="started and not finished"):
        read(preflight="enforce").resolve("1.2.3")


def test_an_unfinished_upload_of_other_files_is_replaced_only_on_demand(
    store: Store, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.publishing.publish._TAKEOVER_SECONDS", 0.1)
    proxy.inject(Drop(), put_of("manifest.json"))
    with pytest.raises(CatalogError):
        published(store, folder_of(tmp_path / "m", **SOME, left_over=b"x"), "1.2.3")
    proxy.heal()
    other = folder_of(tmp_path / "other", weights_bin=b"v" * 1000)
    with pytest.raises(CatalogError, match="--restart"):
        published(store, other, "1.2.3")
    manifest = published(store, other, "1.2.3", restart=True)
    assert keys(store).keys() == {"weights.bin", "SHA256SUMS", "manifest.json"}
    assert store.read(f"{FOLDER}/weights.bin", 10**6).body == b"v" * 1000
    assert [file.path for file in manifest.files] == ["weights.bin"]


def test_files_that_were_put_there_otherwise_are_not_published_over(store: Store, tmp_path: Path) -> None:
    store.write(f"{FOLDER}/mine.bin", b"mine")
    with pytest.raises(CatalogError, match=r"mine\.bin"):
        published(store, tmp_path / "m", "1.2.3")
    assert store.read(f"{FOLDER}/mine.bin", 100).body == b"mine"


@pytest.mark.parametrize("same", [True, False])
def test_of_two_publishers_at_once_exactly_one_wins(store: Store, tmp_path: Path, same: bool) -> None:
    folders = [folder_of(tmp_path / name, weights_bin=(b"w" if same else name.encode()) * 100_000) for name in "ab"]
    start = Barrier(2)

    def one(folder: Path) -> bool:
        upload = plan(scan(folder), store, "my-model", "1.2.3", {}, ignore)
        start.wait(10)
        try:
            publish(upload, store, {}, ignore)
        except CatalogError:
            return False
        return True

    with ThreadPoolExecutor() as threads:
        results = list(threads.map(one, folders))
    assert sorted(results) == [False, True]
    winner = folders[results.index(True)]
    manifest = decode(store.read(f"{FOLDER}/manifest.json", 10**6).body)
    content = store.read(f"{FOLDER}/weights.bin", 10**6).body
    assert content == (winner / "weights.bin").read_bytes()
    assert manifest.files[0].sha256 == digest(content)


def test_a_manifest_whose_answer_was_lost_is_ours_all_the_same(
    store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    patient = Store(store.source, seconds=3, attempts=3)
    proxy.inject(Edit(lambda _: s3_error(500, "InternalError", "it was written")), put_of("manifest.json"), times=1)
    manifest = published(patient, tmp_path / "m", "1.2.3")
    patient.close()
    assert proxy.count(put_of("manifest.json")) == 2
    assert decode(store.read(f"{FOLDER}/manifest.json", 10**6).body) == manifest


def test_a_file_that_changes_under_the_upload_is_noticed(store: Store, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", **SOME)
    upload = plan(scan(folder), store, "my-model", "1.2.3", {}, ignore)
    (folder / "weights.bin").write_bytes(b"v" * 1000)
    with pytest.raises(CatalogError, match=r"weights\.bin changed"):
        publish(upload, store, {}, ignore)
    assert "manifest.json" not in keys(store)


def test_a_large_file_goes_in_parts_and_arrives_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy
) -> None:
    monkeypatch.setattr("webhook.catalog.publishing.upload.PART", 5 << 20)
    content = os.urandom(12 << 20)
    published(store, folder_of(tmp_path / "m", weights_bin=content), "1.2.3")
    assert store.read(f"{FOLDER}/weights.bin", 1 << 30).body == content
    assert proxy.count(lambda request: "partNumber" in request.query) == 3


def test_a_part_that_changes_under_the_upload_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.publishing.upload.PART", 5 << 20)
    folder = folder_of(tmp_path / "m", weights_bin=b"w" * (12 << 20))
    upload = plan(scan(folder), store, "my-model", "1.2.3", {}, ignore)
    with (folder / "weights.bin").open("r+b") as opened:
        opened.seek(11 << 20)
        opened.write(b"v")
    with pytest.raises(CatalogError, match=r"weights\.bin changed"):
        publish(upload, store, {}, ignore)
    assert keys(store) == {}


def test_who_was_replaced_writes_over_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher hangs while it uploads a file, a second one takes over and publishes, and the first continues."""
    monkeypatch.setattr("webhook.catalog.publishing.publish._TAKEOVER_SECONDS", 0.1)
    slow = plan(scan(folder_of(tmp_path / "slow", weights_bin=b"s" * 1000)), store, "my-model", "1.2.3", {}, ignore)
    gate = threading.Event()
    fast = folder_of(tmp_path / "fast", weights_bin=b"f" * 1000)
    create = store.create

    def hanging(key: str, body: bytes, *rest: Any, **more: Any) -> None:
        if body == b"s" * 1000:
            gate.wait(30)
        create(key, body, *rest, **more)

    monkeypatch.setattr(store, "create", hanging)
    with ThreadPoolExecutor(1) as threads:
        hung = threads.submit(publish, slow, store, {}, ignore)
        while not list(store.objects(".publishing/")):
            time.sleep(0.01)
        manifest = published(store, fast, "1.2.3", restart=True)
        gate.set()
        with pytest.raises(CatalogError, match="another publisher"):
            hung.result(30)
    assert store.read(f"{FOLDER}/weights.bin", 10**4).body == b"f" * 1000
    assert decode(store.read(f"{FOLDER}/manifest.json", 10**4).body) == manifest


@pytest.mark.parametrize("mark", [b"", b"{}", b"nonsense"])
def test_a_spoiled_mark_is_someone_elses(
    store: Store, tmp_path: Path, mark: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.publishing.publish._TAKEOVER_SECONDS", 0)
    store.write(f".publishing/{FOLDER}", mark)
    with pytest.raises(CatalogError, match="--restart"):
        published(store, tmp_path / "m", "1.2.3")
    assert published(store, tmp_path / "m", "1.2.3", restart=True)


@pytest.mark.parametrize(
    ("model", "layout"), [("odd-1.0.3/sub", "{model}-{version}"), ("odd/1.0", "{model}/{version}")]
)
def test_a_version_inside_of_another_is_refused(
    bucket: MotoBucket, proxy: FaultyProxy, tmp_path: Path, model: str, layout: str
) -> None:
    there = Store(source(bucket, proxy, layout=layout))
    with closing(there), pytest.raises(InvalidInput, match=r"is inside odd 1\.0"):
        published(there, tmp_path / "m", "2", model=model)


def test_a_name_that_reads_as_another_version_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"read as qwen in version 2\.5\.1-7"):
        published(store, tmp_path / "m", "7", model="qwen-2.5.1")


def test_progress_ends_at_all_bytes_also_of_what_was_there(store: Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", **SOME)
    for fault in (Drop(), None):
        if fault:
            proxy.inject(fault, put_of("weights.bin"))
        told: list[int] = []
        upload = plan(scan(folder), store, "my-model", "1.2.3", {}, ignore)
        try:
            publish(upload, store, {}, told.append)
        except CatalogError:
            assert fault
        proxy.heal()
    assert sum(told) == 1006


def test_a_link_inside_of_the_folder_is_its_file(store: Store, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", **SOME)
    (folder / "again.bin").symlink_to("weights.bin")
    assert "again.bin" in {file.path for file in published(store, folder, "1.2.3").files}


def spoil(folder: Path, how: str) -> None:
    if how == "link out":
        (folder / "x").symlink_to("/etc/hostname")
    elif how == "link to nothing":
        (folder / "x").symlink_to("nothing")
    elif how == "link to a folder":
        (folder / "x").symlink_to(folder / "sub")
    elif how == "empty folder":
        (folder / "empty").mkdir()
    elif how == "pipe":
        os.mkfifo(folder / "pipe")
    elif how == "no files":
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    else:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), how.encode("utf-8", "surrogateescape")))).write_bytes(b"x")  # noqa: PTH118


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("link out", "link out of the folder"),
        ("link to nothing", "which is not a file"),
        ("link to a folder", "link to a folder"),
        ("empty folder", "empty folder"),
        ("pipe", "not a regular file"),
        ("no files", "has no files"),
        ("manifest.json", "because publishing writes that file"),
        ("SHA256SUMS", "because publishing writes that file"),
        ("new\nline", "rename it"),
        ("back\\slash", "rename it"),
        ("star*", "rename it"),
        ("n" * 250, ""),
        (b"\xff".decode("utf-8", "surrogateescape"), "not UTF-8"),
    ],
)
def test_what_no_bucket_can_hold_is_named_before_anything_is_uploaded(tmp_path: Path, how: str, message: str) -> None:
    folder = folder_of(tmp_path / "m", sub__a_bin=b"a")
    spoil(folder, how)
    if not message:
        assert how in scan(folder)
        return
    with pytest.raises(InvalidInput, match=message):
        scan(folder)
