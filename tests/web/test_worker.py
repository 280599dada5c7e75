"""The process that a preview's text is worked on in: its bounds, its end, and what follows when it dies."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from webhook.http.errors import Busy, TooManyRequests
from webhook.http.limits import ConcurrencyLimiter
from webhook.preview import bounded
from webhook.preview.errors import ManifestTooLarge
from webhook.web import worker
from webhook.web.worker import Worker


def run(steps: Callable[[Worker], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        await steps(Worker())

    asyncio.run(all_of_it())


@pytest.mark.alone
def test_what_runs_longer_than_its_time_is_ended_and_the_next_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_SECONDS", 2)

    async def steps(worker: Worker) -> None:
        before = await worker.run(os.getpid)
        with pytest.raises(ManifestTooLarge, match="longer than 2 s"):
            await worker.run(time.sleep, 60)
        assert await worker.run(os.getpid) != before

    run(steps)


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
        assert await worker.run(os.nice, 0) == os.nice(0) + 10
        assert await worker.run(signal.alarm, 0) == 0, "at work it has no end"
        assert await worker.run(os.getpid) == process
        await worker.run(let_it_end_soon)
        await gone(process)
        assert await worker.run(os.getpid) != process

    run(steps)


def let_it_end_soon() -> None:
    """In the worker: as if minutes were a second."""
    bounded._IDLE_SECONDS = 1  # type: ignore[misc]


async def gone(process: int) -> None:
    async with asyncio.timeout(30):
        while Path(f"/proc/{process}").exists():
            await asyncio.sleep(0.05)


def test_of_those_who_wait_some_get_a_turn_and_the_rest_is_told_at_once() -> None:
    held, served = asyncio.Event(), list[int]()
    turns = ConcurrencyLimiter(at_a_time=2, waiting=3, each=9, seconds=30)

    async def take(number: int) -> None:
        async with turns.acquire("ann"):
            served.append(number)
            await held.wait()

    async def steps() -> None:
        tasks = [asyncio.create_task(take(number)) for number in range(7)]
        await asyncio.sleep(0.1)
        assert served == [0, 1]
        assert [type(task.exception()) for task in tasks if task.done()] == [Busy, Busy]
        held.set()
        await asyncio.wait(tasks)
        assert served == [0, 1, 2, 3, 4]

    asyncio.run(steps())


def test_nobody_takes_the_turns_of_others() -> None:
    turns, held = ConcurrencyLimiter(at_a_time=1, waiting=9, each=2, seconds=30), asyncio.Event()

    async def take(who: str) -> str:
        async with turns.acquire(who):
            await held.wait()
            return who

    async def steps() -> None:
        tasks = [asyncio.create_task(take(who)) for who in ("ann", "ann", "ann", "bob")]
        await asyncio.sleep(0.1)
        held.set()
        assert [
            type(found) if isinstance(found, Exception) else found
            for found in await asyncio.gather(*tasks, return_exceptions=True)
        ] == ["ann", "ann", TooManyRequests, "bob"]
        assert await take("ann") == "ann"

    asyncio.run(steps())


def test_a_turn_that_does_not_come_in_time_is_told_and_lost_for_nobody() -> None:
    turns = ConcurrencyLimiter(at_a_time=1, waiting=1, each=9, seconds=0.1)

    async def steps() -> None:
        async with turns.acquire("ann"):
            with pytest.raises(Busy, match="other requests kept the server busy for"):
                async with turns.acquire("ann"):
                    pass
        async with turns.acquire("ann"):
            pass

    asyncio.run(steps())
