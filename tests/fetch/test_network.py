"""Faults between the node and S3 that pass: the download goes on. A clock that is wrong is one of them."""

import os
import time
from collections.abc import Callable

import pytest

from tests.fetch.conftest import Model
from tests.support.container import InitContainer
from tests.support.faults import SLOW_DOWN, Cut, Drop, Fault, Request, Stall, clock_ahead, s3_error
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder

FILES = {"config.json": b"{}", "weights.bin": bytes(range(256)) * 4096}
NO_RETRY = ("--retry-count", "0")
"""s5cmd's own; the script's remain."""
INTERNAL_ERROR = s3_error(500, "InternalError", "We encountered an internal error. Please try again.")


def everything(_: Request) -> bool:
    return True


@pytest.mark.parametrize("what", [Request.is_listing, Request.is_download], ids=["listing", "download"])
@pytest.mark.parametrize(
    "fault", [SLOW_DOWN, INTERNAL_ERROR, Drop(), Cut(100)], ids=["throttled", "failed", "dropped", "cut"]
)
def test_a_fault_that_passes_is_got_over(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, fault: Fault, what: Callable[[Request], bool]
) -> None:
    model.write(FILES)
    s3.inject(fault, when=what, times=1)
    outcome = fetch(flags=NO_RETRY)
    assert outcome.reason == "Complete"
    assert volume.read() == FILES


def test_a_throttled_bucket_is_asked_patiently(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    model.write(FILES)
    s3.inject(SLOW_DOWN, when=everything, times=3)
    outcome = fetch(flags=NO_RETRY)
    assert outcome.reason == "Complete"
    assert outcome.log.count("Unreachable, retrying: ") == 3
    assert "SlowDown" in outcome.log


def test_the_limit_holds_after_long_pauses_too(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    model.write(FILES)
    s3.inject(SLOW_DOWN, when=everything, times=2)
    s3.inject(Stall(), when=everything)
    outcome = fetch(limit=7, flags=NO_RETRY)
    assert outcome.reason == "TimedOut"
    assert outcome.seconds < 7 + 3


@pytest.fixture
def two_pages(model: Model) -> dict[str, bytes]:
    files = {f"{n:04}": b"" for n in range(1001)}
    model.write(files)
    return files


@pytest.mark.parametrize("fault", [INTERNAL_ERROR, Cut(100)], ids=["failed", "cut"])
def test_a_second_page_of_a_listing_that_fails_once_is_asked_for_again(
    fetch: InitContainer, s3: FaultyProxy, volume: Folder, two_pages: dict[str, bytes], fault: Fault
) -> None:
    s3.inject(fault, when=Request.is_next_page, times=1)
    assert fetch(flags=NO_RETRY).reason == "Complete"
    assert volume.names() == two_pages.keys()


@pytest.mark.usefixtures("two_pages")
def test_a_second_page_that_never_comes_is_not_complete(fetch: InitContainer, s3: FaultyProxy) -> None:
    s3.inject(SLOW_DOWN, when=Request.is_next_page)
    assert fetch(limit=2, flags=NO_RETRY).reason == "Unreachable"


@pytest.mark.usefixtures("two_pages")
def test_a_second_page_that_fails_only_in_the_download_is_not_complete(fetch: InitContainer, s3: FaultyProxy) -> None:
    s3.inject(SLOW_DOWN, when=lambda request: request.is_next_page() and s3.count(Request.is_next_page) > 1)
    outcome = fetch(limit=4, flags=NO_RETRY)
    assert outcome.reason == "Unreachable"


def test_a_node_whose_clock_is_behind_waits_for_all_objects(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy
) -> None:
    model.write(FILES)
    os.utime(model.path / "config.json", (time.time() - 3600,) * 2)
    s3.inject(clock_ahead(3), when=everything)
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


def test_a_node_whose_clock_is_behind_waits_for_the_first_object(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy
) -> None:
    model.write(FILES)
    s3.inject(clock_ahead(3), when=everything)
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


def test_a_clock_that_is_far_behind_ends_at_the_limit(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    model.write(FILES)
    os.utime(model.path / "config.json", (time.time() - 7200,) * 2)
    s3.inject(clock_ahead(3600), when=everything)
    outcome = fetch(limit=2)
    assert outcome.exit_code == 1
    assert outcome.seconds < 2 + 3
