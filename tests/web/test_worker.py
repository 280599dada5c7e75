"""The process that a preview's text is worked on in: its bounds, its end, and what follows when it dies."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support import clock
from webhook.preview import bounded
from webhook.preview.errors import ManifestTooLarge
from webhook.web import worker as tested
from webhook.web.worker import Worker

SECONDS = 600


def run(steps: Callable[[Worker], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        await steps(Worker())

    asyncio.run(all_of_it())


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may be slow; a test moves the clock instead."""
    monkeypatch.setattr(tested, "_SECONDS", SECONDS)


def test_a_call_has_its_time_and_is_ended_after_it_and_the_next_is_answered(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "opened")

    async def steps() -> None:
        worker = Worker()
        before = await worker.run(os.getpid)
        call = asyncio.create_task(worker.run(wait_for_writer, tmp_path))
        await clock.until((tmp_path / "started").exists)
        await clock.advance(SECONDS / 2)
        (tmp_path / "opened").write_text("")
        assert await call == before
        (tmp_path / "started").unlink()
        call = asyncio.create_task(worker.run(wait_for_writer, tmp_path))
        await clock.until((tmp_path / "started").exists)
        await clock.advance(SECONDS)
        with pytest.raises(ManifestTooLarge, match="longer than 600 s"):
            await call
        assert await worker.run(os.getpid) != before

    clock.run(steps())


def wait_for_writer(folder: Path) -> int:
    """In the worker: wait until something is written to the pipe `opened`."""
    (folder / "started").touch()
    (folder / "opened").read_text()
    return os.getpid()


def test_what_takes_too_much_memory_is_told_so_and_the_next_is_answered() -> None:
    async def steps(worker: Worker) -> None:
        with pytest.raises(ManifestTooLarge, match="too much memory"):
            await worker.run(bytearray, 256 * 1024 * 1024)
        assert await worker.run(len, b"abc") == 3

    run(steps)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_at_work_or_at_rest_is_replaced(how: signal.Signals) -> None:
    async def steps(worker: Worker) -> None:
        with pytest.raises(ManifestTooLarge):
            await worker.run(signal.raise_signal, how)
        process = await worker.run(os.getpid)
        os.kill(process, how)
        await gone(process)
        assert await worker.run(os.getpid) != process

    run(steps)


def test_it_gives_way_to_others_and_ends_when_nothing_comes() -> None:
    async def steps(worker: Worker) -> None:
        process = await worker.run(os.getpid)
        assert await worker.run(os.nice, 0) == min(19, os.nice(0) + 10)
        assert await worker.run(signal.alarm, 0) == 0, "at work it has no end"
        assert await worker.run(os.getpid) == process
        await worker.run(let_it_end_soon)
        await gone(process)
        assert await worker.run(os.getpid) != process

    run(steps)


@pytest.mark.parametrize(("kept", "seconds"), [(0, bounded._IDLE_SECONDS), (64, bounded._IDLE_SECONDS_IF_LARGE)])
def test_it_ends_soon_if_its_own_memory_is_large_whatever_the_server_has(kept: int, seconds: int) -> None:
    async def steps(worker: Worker) -> None:
        of_the_server = b"x" * bounded._LARGE_BYTES
        assert await worker.run(seconds_until_its_end, kept) == seconds
        del of_the_server

    run(steps)


def seconds_until_its_end(mib: int) -> int:
    """In the worker: after a call, while this much memory is still in use."""
    of_a_manifest = b"x" * (mib * 1024 * 1024)
    bounded.bounded(len, of_a_manifest)
    return signal.alarm(0)


def let_it_end_soon() -> None:
    """In the worker: as if minutes were a second."""
    bounded._IDLE_SECONDS = 1  # type: ignore[misc]


async def gone(process: int) -> None:
    async with asyncio.timeout(30):
        while Path(f"/proc/{process}").exists():
            await asyncio.sleep(0.05)
