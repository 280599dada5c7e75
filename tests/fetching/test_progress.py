"""What the script prints about a download that is under way. No test waits: each says when ten seconds are over."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fetching.conftest import Model, own
from tests.support import programs
from tests.support.container import InitContainer, Running
from tests.support.faults import Request, Stall, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.polling import until

MIB = 1024 * 1024
LARGE = {"large.bin": b"x" * 4 * MIB}


@dataclass(frozen=True)
class Ticks:
    """A named pipe, held open for both sides so that neither blocks in opening it."""

    path: Path
    descriptor: int

    def pass_ten_seconds(self, run: Running) -> str:
        """The next progress line of a run."""
        before = len(progress(run))
        os.write(self.descriptor, b"\n")
        until(lambda: len(progress(run)) > before)
        return progress(run)[-1]


def progress(run: Running) -> list[str]:
    """The progress lines of a run until now."""
    return re.findall(r"^progress: .*\n", run.log(), re.MULTILINE)


@pytest.fixture
def ticks(tmp_path: Path) -> Iterator[Ticks]:
    path = tmp_path / "ticks"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    yield Ticks(path, descriptor)
    os.close(descriptor)


def stored(folder: Folder) -> int:
    """The bytes that the files of a folder occupy."""
    return sum(file.stat().st_blocks * 512 for file in folder.path.rglob("*"))


@pytest.mark.parametrize("shell", ["busybox", "dash"])
def test_a_line_says_how_far_the_download_is(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, ticks: Ticks, shm: Folder, shell: str
) -> None:
    model.write(LARGE)
    s3.inject(Stall(after=MIB), when=Request.is_download)
    if shell == "dash":
        fetch = replace(fetch, interpreter=(programs.dash(),))
    run = fetch.start(ticks=ticks.path, inside=own(shm))
    until(lambda: volume.known() == f"1,{MIB}")
    assert ticks.pass_ten_seconds(run) == "progress: 1048576 of 4194304 bytes, 104858 bytes/s, 30 s left\n"
    assert ticks.pass_ten_seconds(run) == "progress: 1048576 of 4194304 bytes, 0 bytes/s\n"


def test_files_of_an_earlier_container_count_but_not_as_speed(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, ticks: Ticks, shm: Folder
) -> None:
    model.write({"small.bin": b"x" * 1000})
    assert fetch().reason == "Complete"
    model.write(LARGE)
    s3.inject(Stall(after=MIB), when=download_of("large.bin"))
    run = fetch.start(ticks=ticks.path, inside=own(shm))
    until(lambda: volume.known() == f"2,{MIB + 1000}")
    assert ticks.pass_ten_seconds(run) == "progress: 1049576 of 4195304 bytes, 104858 bytes/s, 30 s left\n"


def test_holes_of_a_torn_file_do_not_count(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, ticks: Ticks, shm: Folder
) -> None:
    model.write({"model.bin": b""})
    os.truncate(model.path / "model.bin", 101 * MIB)
    second_part = f"bytes={50 * MIB}-{100 * MIB - 1}"
    s3.inject(Stall(), when=lambda request: request.headers["Range"] == second_part)
    run = fetch.start(ticks=ticks.path, inside=own(shm))
    until(lambda: volume.known() == model.known() and stored(volume) >= 51 * MIB)
    count = re.match(r"progress: (\d+) of 105906176 bytes, ", ticks.pass_ten_seconds(run))
    assert count
    assert 51 * MIB <= int(count[1]) < 52 * MIB


def test_a_model_of_terabytes_is_counted_exactly(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, ticks: Ticks, shm: Folder
) -> None:
    model.write({"large.bin": b"", "small.bin": b"x"})
    volume.write({"large.bin": b""})
    for folder in (model, volume):
        os.truncate(folder.path / "large.bin", 5 * 10**12 + 7)
    s3.inject(Stall(), when=Request.is_download)
    run = fetch.start(ticks=ticks.path, inside=own(shm))
    s3.wait_for(Request.is_download)
    until(lambda: len(volume.names()) > 1)
    assert ticks.pass_ten_seconds(run) == "progress: 5000000000007 of 5000000000008 bytes, 0 bytes/s\n"


def test_a_short_download_prints_no_progress(fetch: InitContainer, model: Model) -> None:
    model.write(LARGE)
    assert "progress: " not in fetch().log


def test_a_download_that_starts_again_has_no_negative_speed(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, ticks: Ticks, shm: Folder
) -> None:
    model.write(LARGE)
    s3.inject(Stall(after=MIB), when=Request.is_download)
    run = fetch.start(ticks=ticks.path, inside=own(shm))
    until(lambda: volume.known() == f"1,{MIB}")
    ticks.pass_ten_seconds(run)
    (torn,) = volume.names()
    os.truncate(volume.path / torn, 0)
    assert ticks.pass_ten_seconds(run) == "progress: 0 of 4194304 bytes, 0 bytes/s\n"
