import os
import time

import pytest

from tests.fetching.conftest import Model, own
from tests.support.container import InitContainer, Running
from tests.support.faults import Request, Stall, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.polling import until

SMALL = {f"small-{n}.bin": bytes([n]) * 1000 for n in range(20)}
LARGE = {"large.bin": bytes(range(256)) * 4 * 4096}
MIB = 1024 * 1024


@pytest.fixture
def killed(fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, shm: Folder) -> str:
    """A container was killed when all small files were there and a part of the large one; gives that part's name."""
    model.write(SMALL | LARGE)
    s3.inject(Stall(after=MIB), when=download_of("large.bin"))
    run = fetch.start(inside=own(shm))
    until(lambda: volume.names() > SMALL.keys())
    assert run.kill().termination == ""
    s3.heal()
    s3.requests.clear()
    (torn,) = volume.names() - SMALL.keys()
    return torn


def test_a_killed_download_leaves_no_half_file_under_its_own_name(killed: str) -> None:
    assert killed.removeprefix("large.bin").isdigit()


@pytest.mark.usefixtures("killed")
def test_the_next_container_downloads_only_what_is_missing(fetch: InitContainer, s3: FaultyProxy) -> None:
    assert fetch().reason == "Complete"
    assert {request.key.rpartition("/")[2] for request in s3.requests if request.is_download()} == {"large.bin"}


@pytest.mark.usefixtures("killed")
def test_the_next_container_removes_what_is_torn(fetch: InitContainer, volume: Folder) -> None:
    assert fetch().reason == "Complete"
    assert volume.read() == SMALL | LARGE


def test_a_torn_file_of_full_length_is_not_taken_for_the_file(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, shm: Folder
) -> None:
    model.write({"model.bin": b""})
    os.truncate(model.path / "model.bin", 101 * MIB)
    second_part = f"bytes={50 * MIB}-{100 * MIB - 1}"
    s3.inject(Stall(), when=lambda request: request.headers["Range"] == second_part)
    run = fetch.start(inside=own(shm))
    until(lambda: volume.known() == model.known())
    run.kill()
    s3.heal()
    assert fetch(known=model.known()).reason == "Complete"
    assert volume.names() == {"model.bin"}


@pytest.fixture
def stalled(fetch: InitContainer, model: Model, s3: FaultyProxy, shm: Folder) -> Running:
    """A container in the middle of a download, with a minute left."""
    model.write(LARGE)
    s3.inject(Stall(after=MIB), when=Request.is_download)
    run = fetch.start(limit=60, inside=own(shm))
    s3.wait_for(Request.is_download)
    return run


def test_sigterm_ends_it_long_before_kubelets_grace_is_over(stalled: Running) -> None:
    asked = time.monotonic()
    stalled.terminate()
    stalled.process.wait(timeout=30)
    assert time.monotonic() - asked < 5
    until(lambda: "s5cmd" not in stalled.programs())


def test_sigterm_leaves_nothing_in_the_memory_of_the_pod(stalled: Running, shm: Folder) -> None:
    assert shm.names()
    stalled.terminate()
    assert stalled.wait().exit_code == 143
    assert list(shm.path.iterdir()) == []
