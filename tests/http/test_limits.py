"""Limits on rates and on concurrent work, by a clock that the test moves."""

import asyncio

import pytest

from tests.support import clock
from tests.support.clock import Clock
from webhook.http.errors import Busy, TooManyRequests
from webhook.http.limits import ConcurrencyLimiter, RateLimiter


def test_a_key_has_a_burst_of_requests_and_then_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Clock()
    monkeypatch.setattr("webhook.http.limits.monotonic", time)
    limiter = RateLimiter(per_second=0.5, burst=3)
    for idle_seconds in (0, 1000):  # a long pause saves up no more than the burst
        time.now += idle_seconds
        for _ in range(3):
            limiter.acquire("ann")
        with pytest.raises(TooManyRequests, match="try again in 2 s"):
            limiter.acquire("ann")
    time.now += 1.5
    with pytest.raises(TooManyRequests, match="try again in 1 s"):
        limiter.acquire("ann")
    limiter.acquire("bob")
    time.now += 0.5
    limiter.acquire("ann")
    with pytest.raises(TooManyRequests):
        limiter.acquire("ann")


def test_of_concurrent_requests_some_run_some_wait_and_the_rest_are_refused_at_once() -> None:
    limiter, finish, started = ConcurrencyLimiter(2, waiting=3, each=9, seconds=30), asyncio.Event(), list[int]()

    async def request(number: int) -> None:
        async with limiter.acquire("ann"):
            started.append(number)
            await finish.wait()

    async def steps() -> None:
        tasks = [asyncio.create_task(request(number)) for number in range(7)]
        await asyncio.sleep(0)  # each runs until it waits
        assert started == [0, 1]
        assert [type(task.exception()) for task in tasks if task.done()] == [Busy, Busy]
        finish.set()
        await asyncio.wait(tasks)
        assert started == [0, 1, 2, 3, 4]

    asyncio.run(steps())


def test_a_key_at_its_limit_leaves_slots_to_others() -> None:
    limiter, finish = ConcurrencyLimiter(1, waiting=9, each=2, seconds=30), asyncio.Event()

    async def request(key: str) -> str:
        async with limiter.acquire(key):
            await finish.wait()
            return key

    async def steps() -> None:
        tasks = [asyncio.create_task(request(key)) for key in ("ann", "ann", "ann", "bob")]
        await asyncio.sleep(0)  # each runs until it waits
        finish.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) if isinstance(each, Exception) else each for each in results] == [
            "ann",
            "ann",
            TooManyRequests,
            "bob",
        ]
        assert await request("ann") == "ann"

    asyncio.run(steps())


def test_a_request_waits_for_a_slot_until_its_deadline_and_then_leaves_the_queue() -> None:
    async def steps() -> None:
        limiter = ConcurrencyLimiter(1, waiting=1, each=9, seconds=30)
        async with limiter.acquire("ann"):
            waiting = asyncio.create_task(enter(limiter))
            await clock.advance(20)
            assert not waiting.done()
            await clock.advance(10)
            with pytest.raises(Busy, match="other requests kept the server busy for 30 s"):
                await waiting
            waiting = asyncio.create_task(enter(limiter))
            await asyncio.sleep(0)
        await waiting

    clock.run(steps())


async def enter(limiter: ConcurrencyLimiter) -> None:
    async with limiter.acquire("ann"):
        pass
