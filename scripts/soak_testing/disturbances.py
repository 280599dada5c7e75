"""What goes wrong during a soak. Each disturbance is a coroutine that lasts at least the given seconds."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from soak_testing.load import Connection, Tally, Unanswered
from soak_testing.requests import Case
from soak_testing.service import SLOTS, Service
from tests.support.faults import Answer, Drop, Edit, Fault, Request
from tests.support.faulty_proxy import FaultyProxy

_SLOW_SECONDS = 4
"""How late S3 answers: later than the webhook's timeout, which is 3 s."""
_SKEW_SECONDS = 900
"""By how much a request's signature may be older or newer than S3's clock."""
_CLOCK_STEP = 3600
_NOTICED_SECONDS = 10
"""When a replica has surely listed the bucket again, by its new clock."""
_MALFORMED_CLIENTS = 4
_XML = (("Content-Type", "application/xml"),)
_SKEWED = Answer(
    403,
    b"<Error><Code>RequestTimeTooSkewed</Code>"
    b"<Message>The difference between the request time and the current time is too large.</Message></Error>",
    _XML,
)
_PAGE = Answer(200, b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>", (("Content-Type", "text/html"),))
_SLOW_DOWN = Answer(503, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>", _XML)


@dataclass
class Stage:
    """What disturbances act on."""

    service: Service
    s3: FaultyProxy
    tally: Tally
    cases: Sequence[Case]


Disturbance = Callable[[Stage, float], Awaitable[None]]


def check_clocks(s3: FaultyProxy) -> None:
    """Make the proxy refuse signatures of another time, as AWS does and not every other S3 server."""
    s3.inject(_SKEWED, _is_skewed)


def _is_skewed(request: Request) -> bool:
    signed = request.headers.get("X-Amz-Date")
    if not signed:
        return False
    at = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return abs((datetime.now(UTC) - at).total_seconds()) > _SKEW_SECONDS


async def _calm(stage: Stage, seconds: float) -> None:  # noqa: ARG001 - as all disturbances
    await asyncio.sleep(seconds)


async def _rolling_restart(stage: Stage, seconds: float) -> None:
    """Replace each replica: the new one is ready before the old one gets SIGTERM."""
    begun = time.monotonic()
    for slot in SLOTS:
        await stage.service.start(slot)
    await asyncio.sleep(max(0, begun + seconds - time.monotonic()))


async def _kill(stage: Stage, seconds: float) -> None:
    """End each replica with SIGKILL, the second one when the first one's successor is ready."""
    begun = time.monotonic()
    for slot in SLOTS:
        await stage.service.kill(slot)
    await asyncio.sleep(max(0, begun + seconds - time.monotonic()))


def _s3(fault: Fault) -> Disturbance:
    """Answer every request to S3 with this fault."""

    async def disturb(stage: Stage, seconds: float) -> None:
        before = len(stage.s3.requests)
        stage.s3.inject(fault, lambda _: True)
        await asyncio.sleep(seconds)
        if seconds > _NOTICED_SECONDS and len(stage.s3.requests) == before:
            stage.tally.wrong.append("S3 got no request while it was disturbed")
        stage.s3.heal()
        check_clocks(stage.s3)

    return disturb


def _late(answer: Answer) -> Answer:
    time.sleep(_SLOW_SECONDS)  # in the thread of this connection
    return answer


def _half(answer: Answer) -> Answer:
    return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)


async def _clock_steps(stage: Stage, seconds: float) -> None:
    """One replica's clock jumps forward, the other's back, and both return."""
    for slot, step in zip(SLOTS, (_CLOCK_STEP, -_CLOCK_STEP), strict=True):
        stage.service.set_clock(slot, step)
    before = len(stage.s3.requests)
    await asyncio.sleep(seconds)
    if seconds > _NOTICED_SECONDS and not any(map(_is_skewed, stage.s3.requests[before:])):
        stage.tally.wrong.append("clock-steps: the replicas' clocks have not moved")
    for slot in SLOTS:
        stage.service.set_clock(slot, 0)


async def _malformed(stage: Stage, seconds: float) -> None:
    """Other clients send damaged bodies without a pause, besides the requests."""
    until = time.monotonic() + seconds
    await asyncio.gather(*(_send_damaged(stage, number, until) for number in range(_MALFORMED_CLIENTS)))


async def _send_damaged(stage: Stage, seed: int, until: float) -> None:
    """Each body must get a status below 500, or an AdmissionReview where the damage has left one."""
    chance = random.Random(seed)  # noqa: S311 - for the same bodies in each run
    while time.monotonic() < until:
        replica = chance.choice(stage.service.endpoints)
        try:
            connection = await Connection.open(replica, stage.service.trust)
            while time.monotonic() < until and connection.is_kept:
                body = _damaged(chance.choice(stage.cases).body, chance)
                status, answer = await connection.post(body)
                stage.tally.malformed += 1
                if status >= 500 or (status == 200 and b'"uid"' not in answer):
                    stage.tally.wrong.append(f"malformed {body[:500]!r}: {status} {answer[:500]!r}")
            connection.close()
        except Unanswered:
            continue


def _damaged(body: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(1, len(body))
    match chance.randrange(4):
        case 0:
            return body[:place]
        case 1:
            return body[:place] + chance.randbytes(4) + body[place:]
        case 2:
            return body.replace(chance.choice([b'"', b"{", b"[", b":", b"Pod"]), b"", 1)
        case _:
            return b"[" * place + body


DISTURBANCES: Mapping[str, Disturbance] = {
    "calm": _calm,
    "restart": _rolling_restart,
    "kill": _kill,
    "s3-gone": _s3(Drop()),
    "s3-slow": _s3(Edit(_late)),
    "s3-throttles": _s3(_SLOW_DOWN),
    "s3-sends-pages": _s3(_PAGE),
    "s3-sends-halves": _s3(Edit(_half)),
    "clock-steps": _clock_steps,
    "malformed": _malformed,
}
"""In their order. Restarts come first, so that the memory of the processes that follow is observed for long."""
