"""The folder of the cache, wherever its process or its disk stops."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.folder import Folder
from tests.support.polling import until
from webhook.node_cache import folder as module
from webhook.node_cache.entry import Marker, MountedVolume, key_of
from webhook.node_cache.folder import CacheFolder, FolderLost

KEY = "0badc0de"
MARKER = Marker("default", "my-model", "1.0.0", "s3://b/my-model-1.0.0", "d" * 64, 2, 3, 1.5, "size", "2026-01-01")
CHECKED = msgspec.structs.replace(MARKER, verify="sha256")
FILES = {"config.json": b"{}", "weights/0.bin": b"w"}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=5)


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache")


def downloaded(cache: CacheFolder, key: str = KEY) -> None:
    Folder(cache.partial(key) / "files").write(FILES)


def cached(cache: CacheFolder, key: str = KEY) -> None:
    downloaded(cache, key)
    cache.finish(key, MARKER)


def is_complete(cache: CacheFolder, marker: Marker = MARKER) -> bool:
    """Whether the version is there. Fails if a part of it is."""
    entry = CacheFolder(cache.root).find(KEY)
    if entry is None:
        return False
    assert entry.marker == marker
    assert Folder(entry.files).read() == FILES
    return True


def in_child(act: Callable[[], object]) -> int:
    """Do it in a process of its own. Returns its exit status: 0 if it ended."""
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            act()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Do it in a process that ends before it executes the line of this number in the module. Whether it got so far."""

    def traced() -> None:
        left = step

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename != module.__file__:
                return None
            left -= event == "line"
            if left < 0:
                os._exit(9)
            return trace

        sys.settrace(trace)
        act()

    status = in_child(traced)
    assert status in (0, 9)
    return status == 9


def each_step(root: Path, prepare: Callable[[CacheFolder], None], act: Callable[[CacheFolder], None]) -> Iterator[Any]:
    """A folder for each line before which the process can end."""
    for step in range(1000):
        cache = CacheFolder(root / str(step))
        prepare(cache)
        is_killed = killed_at(step, lambda cache=cache: act(cache))  # type: ignore[misc]
        yield cache
        if not is_killed:
            assert step > 3
            return


@pytest.mark.parametrize("is_damaged", [False, True])
def test_wherever_finishing_is_killed_the_version_is_complete_or_not_there(tmp_path: Path, is_damaged: bool) -> None:
    def prepare(cache: CacheFolder) -> None:
        downloaded(cache)
        if is_damaged:
            Folder(cache.root / "versions" / KEY).write({"files/torn": b"x", "marker.json": b"{"})

    states = list[bool]()
    for cache in each_step(tmp_path, prepare, lambda cache: cache.finish(KEY, MARKER)):
        states.append(is_complete(cache))
        cache.sweep()
        assert is_complete(cache) == states[-1]
        if not states[-1]:
            cache.finish(KEY, MARKER)
            assert is_complete(cache)
    assert states == sorted(states)
    assert states[-1]


def test_wherever_rewriting_is_killed_there_is_the_old_or_the_new_marker(tmp_path: Path) -> None:
    for cache in each_step(tmp_path, cached, lambda cache: cache.rewrite(KEY, CHECKED)):
        entry = cache.find(KEY)
        assert entry
        assert entry.marker in (MARKER, CHECKED)
        cache.rewrite(KEY, CHECKED)
        assert is_complete(cache, CHECKED)


def test_wherever_removing_is_killed_the_version_is_complete_or_not_there(tmp_path: Path) -> None:
    for cache in each_step(tmp_path, cached, lambda cache: cache.remove(KEY)):
        if not is_complete(cache):
            cache.sweep()
            assert Folder(cache.root).names() == {f"locks/{KEY}"} & Folder(cache.root).names()
    assert not is_complete(cache)


def test_wherever_recording_is_killed_it_can_be_forgotten(tmp_path: Path) -> None:
    asked = MountedVolume("/pods/1/mount", "default", "my-model", "@champion")
    for cache in each_step(tmp_path, lambda _: None, lambda cache: cache.record(asked)):
        assert cache.recorded() in ([], [asked])
        cache.forget(asked.target)
        assert Folder(cache.root).names() == set()


@pytest.mark.parametrize("number", range(5))
def test_a_disk_that_fails_leaves_no_version(cache: CacheFolder, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    downloaded(cache)
    left, flush = iter(range(number)), os.fsync

    def fsync(opened: int) -> None:
        if next(left, None) is None:
            raise OSError(5, "Input/output error")
        flush(opened)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="Input/output error"):
            cache.finish(KEY, MARKER)
    assert is_complete(cache) == (number == 4)  # the folder `versions` alone was not flushed


def test_everything_is_on_the_disk_before_the_version_appears(
    cache: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, rename = list[str](), Path.rename

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", lambda opened: steps.append(Path(f"/proc/self/fd/{opened}").readlink().name))
    monkeypatch.setattr(Path, "rename", renamed)
    cached(cache)
    assert steps == ["weights", "files", "marker.json", KEY, "rename", "versions", "partial"]


@pytest.mark.parametrize("marker", [b"", b"{", b"[]", b'{"model": 1}', b"\xff", b"[" * 100_000])
def test_a_version_with_a_damaged_marker_is_not_there_and_is_swept(cache: CacheFolder, marker: bytes) -> None:
    cached(cache)
    (cache.root / "versions" / KEY / "marker.json").write_bytes(marker)
    assert cache.entries() == {}
    cache.sweep()
    assert list((cache.root / "versions").iterdir()) == []


def test_a_version_without_its_files_or_its_marker_is_not_there(cache: CacheFolder) -> None:
    cached(cache)
    assert cache.entries().keys() == {KEY}
    (cache.root / "versions" / KEY / "files").rename(cache.root / "moved")
    assert cache.find(KEY) is None
    (cache.root / "moved").rename(cache.root / "versions" / KEY / "files")
    assert is_complete(cache)
    (cache.root / "versions" / KEY / "marker.json").unlink()
    assert cache.find(KEY) is None
    assert cache.find("unknown") is None


@pytest.mark.parametrize("name", [b"\xff", b"lost+found"])
def test_a_folder_that_no_version_has_is_none_and_cannot_be_evicted(cache: CacheFolder, name: bytes) -> None:
    cached(cache)
    shutil.copytree(cache.root / "versions" / KEY, cache.root / "versions" / os.fsdecode(name))
    downloaded(cache, os.fsdecode(name))
    assert cache.entries().keys() == {KEY}
    assert cache.partial_bytes() == {}


def test_sweeping_leaves_versions_downloads_and_what_another_process_has(cache: CacheFolder) -> None:
    cached(cache)
    for name in ("removed/waste/files/0", "partial/other/files/0", "versions/torn/0", "versions/locked/0"):
        Folder(cache.root).write({name: b""})
    with cache.lock("locked", is_shared=True, waits=False):
        cache.sweep()
    assert {path.name for path in (cache.root / "versions").iterdir()} == {KEY, "locked"}
    assert (cache.partial("other") / "files" / "0").exists()
    assert list((cache.root / "removed").iterdir()) == []


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True), (False, False)])
def test_processes_share_a_lock_only_to_mount(cache: CacheFolder, first: bool, second: bool) -> None:
    def lock() -> None:
        with CacheFolder(cache.root).lock(KEY, is_shared=second, waits=False) as is_mine:
            os._exit(7 if is_mine else 8)

    with cache.lock(KEY, is_shared=first, waits=False) as is_mine:
        assert is_mine
        assert in_child(lock) == (7 if first and second else 8)
    assert in_child(lock) == 7  # and what ended without a word holds none
    with cache.lock(KEY, is_shared=False, waits=False) as is_mine:
        assert is_mine


def test_a_version_is_gone_at_once_even_if_deleting_it_fails(
    cache: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(cache)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    cache.remove(KEY)
    cache.remove(KEY)
    assert not is_complete(cache)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=2, max_size=2, unique=True))
def test_different_content_has_different_keys(versions: list[tuple[str, str, str]]) -> None:
    keys = {key_of(*each) for each in versions}
    assert len(keys) == 2
    assert all(len(key) == 40 and set(key) <= set("0123456789abcdef") for key in keys)


def test_folders_that_somebody_deleted_come_back_and_the_root_does_not(cache: CacheFolder) -> None:
    shutil.rmtree(cache.root / "versions")
    cache.check()
    assert cache.entries() == {}
    shutil.rmtree(cache.root)
    with pytest.raises(FolderLost, match="was deleted"):
        cache.check()
    CacheFolder(cache.root)
    with pytest.raises(FolderLost):
        cache.check()  # this process has the deleted one open


def locks(cache: CacheFolder) -> list[str]:
    return [path.name for path in (cache.root / "locks").iterdir()]


def test_a_lock_that_was_deleted_while_another_waited_for_it_counts_for_nobody(cache: CacheFolder) -> None:
    def wait() -> bool:
        with cache.lock(KEY, is_shared=False, waits=True):
            return locks(cache) == [KEY]

    with ThreadPoolExecutor(1) as thread:
        with cache.lock(KEY, is_shared=False, waits=True):
            waiting = thread.submit(wait)
            until(lambda: f"-> FLOCK  ADVISORY  WRITE {os.getpid()} " in Path("/proc/locks").read_text())
            cache.delete_lock(KEY)
        assert waiting.result(60)


def test_locks_of_versions_that_are_gone_are_deleted_and_others_stay(cache: CacheFolder) -> None:
    cached(cache)
    downloaded(cache, "d0")
    for key in (KEY, "d0", "a0", "b0"):
        with cache.lock(key, is_shared=False, waits=False):
            pass
    with cache.lock("b0", is_shared=True, waits=False):
        CacheFolder(cache.root).sweep()
    assert sorted(locks(cache)) == sorted([KEY, "d0", "b0"])
