"""Clients that do what an API server does: requests on kept TLS connections, each to a replica that is ready.

A connection that is refused or ends before the first byte of an answer makes a client ask the other replica. API
servers do not always do that, so the request counts as lost, unless replicas are being killed. Every other failure
counts as lost, too.
"""

import asyncio
import random
import re
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from soak_testing.requests import Answer, Case, answer_of
from soak_testing.service import Service
from tests.server.auto.cluster import HOST
from tests.support.webhook import Webhook

CLIENTS = 16
_PAUSE = 0.04
"""Seconds between a client's requests."""
_TIMEOUT = 10
"""Seconds after which an API server gives up, by the chart's timeoutSeconds."""
_KEPT = 200
"""Requests of a connection, after which a client opens another one: to have handshakes throughout."""
KILLING = frozenset({"kill"})
"""The disturbances that end replicas while they have requests. No webhook can answer these requests."""
_UNCONFIRMED = re.compile(rb"S3 (did|does) not answer")
"""The warning in an answer for a version that S3 did not confirm in time."""


@dataclass
class Phase:
    """The figures of one disturbance."""

    name: str
    begun: float
    """Seconds since the start of the soak."""
    ended: float = 0
    requests: int = 0
    retried: int = 0
    unchecked: int = 0
    """Answers for a version that S3 did not confirm within the deadline of a lookup."""
    seconds: list[float] = field(default_factory=list)
    """How long each request took."""


@dataclass
class Tally:
    """The results of all clients."""

    phases: list[Phase] = field(default_factory=list)
    per_second: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    malformed: int = 0
    connections: int = 0

    def begin(self, name: str, now: float) -> None:
        """The next disturbance begins."""
        self.end(now)
        self.phases.append(Phase(name, now))

    def end(self, now: float) -> None:
        """The current disturbance ends."""
        if self.phases:
            self.phases[-1].ended = now


class Unanswered(Exception):
    """A connection was refused, or ended before the first byte of an answer."""


@dataclass
class Connection:
    """A TLS connection to a replica."""

    replica: Webhook
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: int = 0
    is_kept: bool = True

    @classmethod
    async def open(cls, replica: Webhook, trust: ssl.SSLContext) -> Self:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port, ssl=trust, server_hostname=HOST)
        except ssl.SSLCertVerificationError:
            raise
        except OSError as error:
            raise Unanswered(repr(error)) from error
        return cls(replica, reader, writer)

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send a review; returns the status and the body of the answer."""
        head = f"POST /mutate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self.requests += 1
        try:
            self.writer.write(f"{head}\r\n\r\n".encode() + body)
            await self.writer.drain()
            first = await self.reader.readexactly(1)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unanswered(repr(error)) from error
        received = (first + await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(received.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.is_kept = b"connection: close" not in received and self.requests < _KEPT
        return int(received.split(b" ", 2)[1]), await self.reader.readexactly(length)

    def close(self) -> None:
        self.writer.close()


class Client:
    """One connection of an API server, which is opened again when a replica ends it."""

    def __init__(self, service: Service, tally: Tally) -> None:
        self._service, self._tally = service, tally
        self._connection: Connection | None = None

    async def run(self, requests: Sequence[Case], until: asyncio.Event) -> None:
        """Send the requests in turn until the event is set."""
        for number in count(random.randrange(len(requests))):  # noqa: S311 - so that clients do not ask the same at once
            if until.is_set():
                break
            case = requests[number % len(requests)]
            is_replica = number // len(requests) % 2
            await self._check(case, case.body if is_replica else case.named(number))
            await asyncio.sleep(_PAUSE)
        self._end()

    async def _check(self, case: Case, request: bytes) -> None:
        phase, begun, body = self._tally.phases[-1], time.monotonic(), b""
        try:
            async with asyncio.timeout(_TIMEOUT):
                status, body = await self._ask(case, request, phase)
            problem = "" if status == 200 else f"status {status}: {body[:200]!r}"
        except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError) as error:
            self._end()
            problem = repr(error)
        if problem:
            self._lose(case, phase, problem)
            return
        phase.requests += 1
        phase.seconds.append(time.monotonic() - begun)
        self._tally.per_second[int(self._service.now)] += 1
        self._compare(case, body, phase)

    def _lose(self, case: Case, phase: Phase, problem: str) -> None:
        self._tally.lost.append(f"{self._service.now:.1f} s, {phase.name}, {case.name}: {problem}")

    def _compare(self, case: Case, body: bytes, phase: Phase) -> None:
        try:
            answer: Answer | None = answer_of(body)
        except (ValueError, KeyError):
            answer = None
        if answer == case.answer:
            return
        if answer == case.unchecked and _UNCONFIRMED.search(body):
            phase.unchecked += 1
            return
        self._tally.wrong.append(f"{self._service.now:.1f} s, {phase.name}, {case.name}: {body[:1000]!r}")

    async def _ask(self, case: Case, request: bytes, phase: Phase) -> tuple[int, bytes]:
        avoided: Webhook | None = None
        while True:
            replica = self._connection.replica if self._connection else await self._choose(avoided)
            try:
                connection = self._connection or await Connection.open(replica, self._service.trust)
                self._tally.connections += self._connection is None
                self._connection = connection
                answer = await connection.post(request)
            except Unanswered as error:
                phase.retried += 1
                if KILLING.isdisjoint((phase.name, self._tally.phases[-1].name)):  # when it began, and now
                    self._lose(case, phase, f"sent again: {error}")
                self._end()
                avoided = replica
                await asyncio.sleep(0.01)
                continue
            if not connection.is_kept:
                self._end()
            return answer

    async def _choose(self, avoided: Webhook | None) -> Webhook:
        """A replica that is ready, and if possible not the one that has just not answered."""
        while not self._service.endpoints:
            await asyncio.sleep(0.01)
        endpoints = self._service.endpoints
        others = [each for each in endpoints if each is not avoided]
        return random.choice(others or endpoints)  # noqa: S311 - as kube-proxy does

    def _end(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
