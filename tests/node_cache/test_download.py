"""Downloads that are interrupted, and origins that fail or lie."""

import contextlib
import errno
import hashlib
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node_cache.origin import Origin, failing
from tests.support.folder import Folder
from webhook.catalog.bucket.errors import Denied, NotFound, Unreachable
from webhook.catalog.bucket.manifest import ManifestFile
from webhook.node_cache import download
from webhook.node_cache.download import Corrupt, Download

PART = 8
SIZES = st.lists(st.sampled_from([0, 1, PART - 1, PART, PART + 1, 2 * PART, 5 * PART + 3]), max_size=4)
CHUNKS = st.integers(1, PART + 1)


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(download, "PART", PART)
        yield


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Instead of waiting: how long it would have been."""
    pauses = list[float]()
    monkeypatch.setattr(Download, "_pause", lambda _, seconds: pauses.append(seconds))
    return pauses


class Killed(BaseException):
    """The process ends here."""


def of_sizes(*sizes: int) -> dict[str, bytes]:
    made = random.Random(7)  # noqa: S311 - content of files
    return {f"folder-{index % 2}/{index}": made.randbytes(size) for index, size in enumerate(sizes)}


def described(files: dict[str, bytes]) -> list[ManifestFile]:
    return [ManifestFile(path, len(each), hashlib.sha256(each).hexdigest()) for path, each in files.items()]


def fetch(
    folder: Path,
    files: dict[str, bytes],
    origin: Origin,
    peers: Origin | None = None,
    *,
    state: str = "",
    checks_hashes: bool = True,
) -> Download:
    folder.mkdir(exist_ok=True)
    origins = [peers, origin] if peers else [origin]
    fetched = Download(folder, described(files), origins, state=state, checks_hashes=checks_hashes)
    fetched.run()
    return fetched


def written(folder: Path, files: dict[str, bytes]) -> set[tuple[str, int]]:
    """The parts that `parts` lists completely: paths and first bytes."""
    known, paths = folder / "parts", list(files)
    lines = re.findall(r"(?m)^(\d+) (\d+)\.$", known.read_text()) if known.exists() else []
    return {(paths[int(index)], int(part) * PART) for index, part in lines}


def once_each(files: dict[str, bytes]) -> list[tuple[str, int, int]]:
    return [
        (path, first, min(first + PART, len(content)) - 1)
        for path, content in files.items()
        for first in range(0, len(content), PART)
    ]


@given(SIZES, CHUNKS)
def test_every_part_is_asked_for_once(sizes: list[int], chunk: int) -> None:
    files = of_sizes(*sizes)
    origin = Origin(files)
    origin.chunk = chunk
    with TemporaryDirectory() as folder:
        fetched = fetch(Path(folder), files, origin)
        assert Folder(Path(folder) / "files").read() == files
    assert sorted(origin.asked) == sorted(once_each(files))
    assert fetched.bytes == fetched.total == sum(sizes)


@given(SIZES, st.lists(st.tuples(st.integers(1, 15), st.integers(0, 9), st.booleans()), max_size=3))
def test_a_download_continues_wherever_it_was_ended(sizes: list[int], ends: list[tuple[int, int, bool]]) -> None:
    files = of_sizes(*sizes)
    with TemporaryDirectory() as name:
        folder = Path(name)

        def fetch_the_rest(origin: Origin) -> None:
            origin.chunk, known = 5, written(folder, files)
            try:
                fetch(folder, files, origin)
            finally:
                assert not {(path, first) for path, first, _ in origin.asked} & known

        for number, torn, is_killed in ends:
            with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(Killed, Denied):
                if is_killed:
                    monkeypatch.setattr(os, "pwrite", _killed_at(number))
                fetch_the_rest(Origin(files, failing(Denied("no"), 0 if is_killed else number)))
            with contextlib.suppress(FileNotFoundError):
                os.truncate(folder / "parts", max((folder / "parts").stat().st_size - torn, 0))
        fetch_the_rest(Origin(files))
        assert Folder(folder / "files").read() == files


def _killed_at(number: int) -> Callable[..., int]:
    left, write, lock = Counter(writes=number), os.pwrite, threading.Lock()

    def pwrite(*arguments: Any) -> int:
        with lock:
            left["writes"] -= 1
            if left["writes"] < 0:
                raise Killed
        return write(*arguments)

    return pwrite


def test_a_line_that_was_cut_off_does_not_merge_with_the_next_one(tmp_path: Path) -> None:
    files = of_sizes(PART, 13 * PART)
    with pytest.raises(Denied):
        fetch(tmp_path, files, Origin(files, failing(Denied("no"))))
    for cut in ("1 1", "\n1 1", "\n1"):
        (tmp_path / "parts").write_text(cut)
        with pytest.raises(Denied):
            fetch(tmp_path, files, Origin(files, failing(Denied("no"), *range(2, 20))))
    fetch(tmp_path, files, Origin(files))
    assert Folder(tmp_path / "files").read() == files


def test_a_download_of_an_earlier_boot_begins_again(tmp_path: Path) -> None:
    files = of_sizes(5 * PART)
    with pytest.raises(Denied):
        fetch(tmp_path, files, Origin(files, failing(Denied("no"), 5)))
    (tmp_path / "state").write_text("of the boot before")
    origin = Origin(files)
    fetch(tmp_path, files, origin)
    assert sorted(origin.asked) == sorted(once_each(files))


def test_a_download_of_files_that_were_overwritten_since_begins_again(tmp_path: Path) -> None:
    before = of_sizes(5 * PART)
    after = {path: bytes(reversed(content)) for path, content in before.items()}
    with pytest.raises(Denied):
        fetch(tmp_path, before, Origin(before, failing(Denied("no"), 5)), state="before")
    origin = Origin(after)
    fetch(tmp_path, after, origin, state="after", checks_hashes=False)
    assert Folder(tmp_path / "files").read() == after
    assert sorted(origin.asked) == sorted(once_each(after))


@pytest.mark.parametrize("damage", ["deleted", "shorter", "longer"])
def test_a_file_that_somebody_changed_meanwhile_is_fetched_again(damage: str, tmp_path: Path) -> None:
    files = of_sizes(PART, PART, PART)
    with pytest.raises(Denied):
        fetch(tmp_path, files, Origin(files, failing(Denied("no"), 3)))
    for path in (tmp_path / "files").rglob("[0-2]"):
        path.unlink() if damage == "deleted" else path.write_bytes(b"x" * (1 if damage == "shorter" else 99))
    fetch(tmp_path, files, Origin(files), checks_hashes=False)
    assert Folder(tmp_path / "files").read() == files


def test_an_origin_that_sends_too_much_is_not_believed(tmp_path: Path) -> None:
    files = of_sizes(PART + 2)
    with pytest.raises(Corrupt, match="more than was asked for"):
        fetch(tmp_path, files, Origin(files, lambda _, sent: sent + b"x"), checks_hashes=False)
    assert (tmp_path / "files" / "folder-0" / "0").stat().st_size == PART + 2


def test_an_origin_that_sends_too_little_is_asked_for_the_rest(tmp_path: Path, pauses: list[float]) -> None:
    files = of_sizes(PART)
    origin = Origin(files, lambda number, sent: sent[:3] if number == 1 else sent)
    fetch(tmp_path, files, origin)
    assert [(first, last) for _, first, last in origin.asked] == [(0, 7), (3, 7)]
    with pytest.raises(Unreachable, match="8 bytes before its end"):
        fetch(tmp_path / "never", files, Origin(files, lambda *_: b""))
    assert pauses == [1, 1, 2, 4, 8]


def test_wrong_bytes_are_found_by_their_hash_and_the_next_download_begins_again(tmp_path: Path) -> None:
    files = of_sizes(2 * PART, 3)
    with pytest.raises(Corrupt, match="folder-0/0 differs"):
        fetch(tmp_path, files, Origin(files, lambda _, sent: b"x" * len(sent) if len(sent) == PART else sent))
    origin = Origin(files)
    fetch(tmp_path, files, origin)
    assert sorted(origin.asked) == sorted(once_each(files))


def test_what_may_pass_is_tried_again_five_times_in_all(tmp_path: Path, pauses: list[float]) -> None:
    files = of_sizes(PART)
    fetch(tmp_path, files, Origin(files, failing(Unreachable("503"), 1, 2, 3, 4)))
    assert pauses == [1, 2, 4, 8]
    origin = Origin(files, failing(Unreachable("503")))
    with pytest.raises(Unreachable, match="503"):
        fetch(tmp_path / "second", files, origin)
    assert len(origin.asked) == 5


@pytest.mark.parametrize("error", [Denied("403"), NotFound("404")])
def test_what_does_not_pass_is_not_tried_again(error: Exception, tmp_path: Path, pauses: list[float]) -> None:
    files = of_sizes(PART)
    origin = Origin(files, failing(error))
    with pytest.raises(type(error)):
        fetch(tmp_path, files, origin)
    assert (len(origin.asked), pauses) == (1, [])


@given(st.integers(0, PART), st.sampled_from([Denied("no"), Unreachable("503"), None]))
def test_what_a_peer_has_sent_s3_need_not(sent: int, error: Exception | None) -> None:
    files = of_sizes(PART)
    peers, origin = Origin(files, lambda _, content: content[:sent]), Origin(files)
    if error and not sent:
        peers.fault = failing(error)
    with TemporaryDirectory() as folder:
        fetch(Path(folder), files, origin, peers)
        assert Folder(Path(folder) / "files").read() == files
    assert origin.asked == ([] if sent == PART else [("folder-0/0", sent, PART - 1)])


def of_peers(files: dict[str, bytes], path: str) -> Origin:
    """Peers that have other bytes of one file."""
    return Origin({**files, path: bytes(len(files[path]))})


def test_a_file_of_which_a_peer_has_sent_wrong_bytes_comes_from_s3_and_the_others_stay(tmp_path: Path) -> None:
    files, origin = of_sizes(3 * PART, 2 * PART + 1, PART), Origin(of_sizes(3 * PART, 2 * PART + 1, PART))
    fetched = fetch(tmp_path, files, origin, of_peers(files, "folder-1/1"), checks_hashes=False)
    assert Folder(tmp_path / "files").read() == files
    assert sorted(origin.asked) == [("folder-1/1", at, min(at + PART, 2 * PART + 1) - 1) for at in (0, PART, 2 * PART)]
    assert fetched.bytes == fetched.total
    assert fetched.checks_hashes


def test_wrong_bytes_of_a_peer_are_found_after_a_kill(tmp_path: Path) -> None:
    files = of_sizes(PART, PART)
    with pytest.raises(Killed):
        fetch(tmp_path, files, Origin(files, failing(Killed())), of_peers(files, "folder-1/1"), checks_hashes=False)
    origin = Origin(files)
    fetch(tmp_path, files, origin, checks_hashes=False)
    assert Folder(tmp_path / "files").read() == files
    assert {path for path, _, _ in origin.asked} == {"folder-1/1"}


def test_what_came_from_peers_is_dropped_if_nothing_says_its_hashes_any_more(tmp_path: Path) -> None:
    files = of_sizes(PART, PART)
    fetch(tmp_path, files, Origin(files), of_peers(files, "folder-0/0"), checks_hashes=False)
    origin, sizes = Origin(files), [ManifestFile(path, len(content), "") for path, content in files.items()]
    Download(tmp_path, sizes, [origin], state="", checks_hashes=False).run()
    assert Folder(tmp_path / "files").read() == files
    assert len(origin.asked) == 2


def test_files_that_differ_in_s3_too_are_corrupt(tmp_path: Path) -> None:
    files = of_sizes(PART, PART)
    origin = of_peers(files, "folder-0/0")
    with pytest.raises(Corrupt, match=r"^folder-0/0 differs"):
        fetch(tmp_path, files, origin, of_peers(files, "folder-0/0"))
    assert len(origin.asked) == 1


def test_a_download_one_of_whose_parts_fails_ends_and_continues_later(tmp_path: Path) -> None:
    files = of_sizes(40 * PART)
    origin = Origin(files, failing(Denied("403"), 20))
    with pytest.raises(Denied):
        fetch(tmp_path, files, origin)
    known = len(written(tmp_path, files))
    origin = Origin(files)
    fetch(tmp_path, files, origin)
    assert 0 < known == 40 - len(origin.asked)


def test_a_full_disk_is_noticed_before_anything_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = of_sizes(1, PART)
    origin = Origin(files)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            fetch(tmp_path, files, origin)
    assert origin.asked == []
    fetch(tmp_path, files, origin)


def test_a_disk_that_fails_leaves_no_part_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports a failed write at one fsync, and the next one succeeds although the bytes are lost."""

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    files = of_sizes(2 * PART)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input/output"):
            fetch(tmp_path, files, Origin(files))
    origin = Origin(files)
    fetch(tmp_path, files, origin, checks_hashes=False)
    assert len(origin.asked) == 2
