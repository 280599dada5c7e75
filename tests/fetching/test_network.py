"""Faults between the node and S3 that pass: the download goes on. A clock that is wrong is one of them."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.fetching.conftest import Model
from tests.support.container import NO_RETRY, InitContainer, Options
from tests.support.faults import SLOW_DOWN, Cut, Drop, Fault, Request, Stall, clock_ahead, s3_error
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.moto_s3 import MotoBucket

FILES = {"config.json": b"{}", "weights.bin": bytes(range(256)) * 4096}
INTERNAL_ERROR = s3_error(500, "InternalError", "We encountered an internal error. Please try again.")


def everything(_: Request) -> bool:
    return True


@pytest.fixture(autouse=True)
def files(model: Model) -> None:
    model.write(FILES)


@pytest.mark.parametrize("what", [Request.is_listing, Request.is_download], ids=["listing", "download"])
@pytest.mark.parametrize(
    "fault", [SLOW_DOWN, INTERNAL_ERROR, Drop(), Cut(100)], ids=["throttled", "failed", "dropped", "cut"]
)
def test_a_fault_that_passes_is_got_over(
    fetch: InitContainer, volume: Folder, s3: FaultyProxy, fault: Fault, what: Callable[[Request], bool]
) -> None:
    s3.inject(fault, when=what, times=1)
    assert fetch(flags=NO_RETRY, skip_pauses=True).reason == "Complete"
    assert volume.read() == FILES


def test_a_throttled_bucket_is_asked_again_after_a_pause(fetch: InitContainer, s3: FaultyProxy) -> None:
    s3.inject(SLOW_DOWN, when=everything, times=2)
    outcome = fetch(flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "Complete"
    assert outcome.log.count("Unreachable, retrying: ") == 2
    assert "SlowDown" in outcome.log
    assert outcome.message.seconds >= 1 + 2


def test_s5cmds_own_retries_need_none_of_ours(fetch: InitContainer, s3: FaultyProxy) -> None:
    s3.inject(INTERNAL_ERROR, when=Request.is_listing, times=2)
    outcome = fetch()
    assert outcome.reason == "Complete"
    assert "retrying" not in outcome.log


def test_the_limit_holds_after_long_pauses_too(fetch: InitContainer, s3: FaultyProxy) -> None:
    s3.inject(SLOW_DOWN, when=everything, times=2)
    s3.inject(Stall(), when=everything)
    outcome = fetch(limit=7, flags=NO_RETRY, skip_pauses=True)
    assert outcome.reason == "TimedOut"
    assert outcome.message.seconds >= 7
    assert outcome.seconds < 7


@dataclass(frozen=True)
class Paged:
    """A bucket whose listings come in pages of two; `options` are for a run that fetches it."""

    proxy: FaultyProxy
    options: Options
    names: set[str]


@pytest.fixture
def paged(moto: MotoBucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paged]:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    names = {"a", "b", "c", "d", "e"}
    for name in names:
        moto.put(f"m-1/{name}", b"x")
    with FaultyProxy(moto.url) as proxy:
        env = {"S3_ENDPOINT_URL": proxy.url}
        yield Paged(
            proxy, {"uri": f"s3://{moto.name}/m-1/*", "env": env, "flags": NO_RETRY, "skip_pauses": True}, names
        )


@pytest.mark.parametrize("fault", [INTERNAL_ERROR, Cut(100)], ids=["failed", "cut"])
def test_a_second_page_of_a_listing_that_fails_once_is_asked_for_again(
    fetch: InitContainer, volume: Folder, paged: Paged, fault: Fault
) -> None:
    paged.proxy.inject(fault, when=Request.is_next_page, times=1)
    assert fetch(**paged.options).reason == "Complete"
    assert volume.names() == paged.names


def test_a_second_page_that_never_comes_is_not_complete(fetch: InitContainer, paged: Paged) -> None:
    paged.proxy.inject(SLOW_DOWN, when=Request.is_next_page)
    assert fetch(**paged.options).reason == "Unreachable"


def test_a_second_page_that_fails_only_in_the_download_is_not_needed(
    fetch: InitContainer, volume: Folder, paged: Paged
) -> None:
    def is_of_the_download(request: Request) -> bool:
        return request.is_next_page() and "of 5,5 here" in fetch.runs[-1].log()

    paged.proxy.inject(SLOW_DOWN, when=is_of_the_download)
    outcome = fetch(**paged.options)
    assert outcome.reason == "Complete"
    assert "retrying: ERROR" in outcome.log
    assert volume.names() == paged.names


def test_a_node_whose_clock_is_behind_waits_for_all_objects(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy
) -> None:
    os.utime(model.path / "config.json", (time.time() - 3600,) * 2)
    s3.inject(clock_ahead(2), when=everything)
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


def test_a_node_whose_clock_is_behind_waits_for_the_first_object(
    fetch: InitContainer, volume: Folder, s3: FaultyProxy
) -> None:
    s3.inject(clock_ahead(2), when=everything)
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


def test_a_clock_that_is_far_behind_ends_at_the_limit(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    os.utime(model.path / "config.json", (time.time() - 7200,) * 2)
    s3.inject(clock_ahead(3600), when=everything)
    outcome = fetch(limit=2, skip_pauses=True)
    assert outcome.exit_code == 1
    assert outcome.seconds < 2 + 3
