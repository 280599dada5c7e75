"""The driver's side of the worker: starts it when there is something to ask, and ends it when there has not been."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final, Self, TypeAlias, TypeVar

import msgspec

from webhook.http.log import FIELDS
from webhook.node_cache import protocol
from webhook.node_cache.processes import end, fork
from webhook.node_cache.protocol import (
    Done,
    Failed,
    Fetch,
    Found,
    Look,
    Mark,
    Progress,
    Remove,
    Request,
    Resolve,
    Resolved,
    Volume,
    Wanted,
)
from webhook.node_cache.refusals import REASONS, Refused
from webhook.settings import Settings

_LINGER_SECONDS: Final = 30.0
_SILENT_SECONDS: Final = 600.0
"""After how long without any answer the worker hangs. Downloads answer every second, and the rest takes less."""
_LONGEST_MESSAGE: Final = 2000
_ENDED: Final = "the worker has ended: it is started again"
_Answer: TypeAlias = Found | Done | Resolved
_log = logging.getLogger(__name__)
A = TypeVar("A", Found, Done, Resolved)


class WorkerClient:
    """Asks the worker. Used in one event loop, in a process without threads, which it forks."""

    def __init__(self, folder: Path, settings: Settings, user: int | None) -> None:
        """`user` is who the worker runs as, by number; None: as the driver does."""
        self._folder, self._settings, self._user = folder, settings, user
        self._ids = itertools.count(1)
        self._worker: asyncio.Task[_Worker] | None = None
        self._end: asyncio.TimerHandle | None = None

    async def look(self, volume: Volume) -> Found:
        """What a version consists of, as the pod may read it. Raises Refused."""
        return await self._ask(Look(next(self._ids), volume), Found)

    async def fetch(self, volume: Volume, key: str, progress: Callable[[int, int], None]) -> int:
        """Have a version in the cache. `progress` gets the bytes so far, and in all. Raises Refused.

        Returns how many bytes came from peers.
        """
        return (await self._ask(Fetch(next(self._ids), volume, key), Done, progress)).bytes_from_peers

    async def remove(self, keys: tuple[str, ...]) -> None:
        """Remove versions that nothing mounts. Raises Refused."""
        await self._ask(Remove(next(self._ids), keys), Done)

    async def resolve(self, wanted: tuple[Wanted, ...]) -> Resolved:
        """What references mean. Raises Refused."""
        return await self._ask(Resolve(next(self._ids), wanted), Resolved)

    async def mark(self, node: str, prefix: str, labels: tuple[str, ...], taint: str) -> None:
        """Make the node's labels with the prefix these, and remove the taint, if that is not empty. Raises Refused."""
        await self._ask(Mark(next(self._ids), node, prefix, labels, taint), Done)

    async def _ask(self, request: Request, kind: type[A], progress: Callable[[int, int], None] | None = None) -> A:
        try:
            found = await (await self._running()).ask(request, progress)
        finally:
            self._rest()
        if not isinstance(found, kind):
            raise Refused("Unreachable", "the answer of the worker cannot be used")
        return found

    async def _running(self) -> "_Worker":
        """The worker, started if there is none. Callers that are cancelled leave a start to the others."""
        started = self._worker
        if started and started.done() and not started.exception():
            started.result().end_if_silent()
        if started is None or (started.done() and (started.exception() or not started.result().is_open)):
            started = self._worker = asyncio.create_task(_Worker.start(self._user, self._work))
        return await asyncio.shield(started)

    def _work(self, connection: socket.socket) -> None:
        from webhook.node_cache.worker import Worker  # noqa: PLC0415 - the driver does not need it

        Worker(connection, self._folder, self._settings).run()

    def _rest(self) -> None:
        """End the worker after a while in which nothing is asked."""
        if self._end:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._stop)

    def _stop(self) -> None:
        if self._worker and self._worker.done() and not self._worker.exception():
            self._worker.result().close_if_idle()

    async def close(self) -> None:
        """End the worker. Downloads stop where they are."""
        if self._end:
            self._end.cancel()
        if self._worker:
            with contextlib.suppress(OSError):
                await (await self._worker).close()


class _Worker:
    """One process, and the requests that it has not answered."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pid, self._writer = pid, writer
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._progress: dict[int, Callable[[int, int], None]] = {}
        self.is_open = True
        """Whether it takes requests."""
        self._silent_since: float | None = None
        """Since when it owes an answer, and has given none. On the monotonic clock."""
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def start(cls, user: int | None, work: Callable[[socket.socket], None]) -> Self:
        """Fork it. Raises OSError."""
        pid, connection = fork(user, work)
        return cls(pid, *await asyncio.open_connection(sock=connection))

    async def ask(self, request: Request, progress: Callable[[int, int], None] | None) -> _Answer:
        """Ask, and wait for the answer. Raises Refused."""
        if not self.is_open:
            raise Refused("Unreachable", _ENDED)
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        if self._silent_since is None:
            self._silent_since = monotonic()
        if progress:
            self._progress[request.id] = progress
        try:
            self._writer.write(protocol.encode(request))
            return await answer
        finally:
            del self._waiting[request.id]
            self._progress.pop(request.id, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Pass answers on until the worker ends. Whoever waits then is told to ask again."""
        try:
            while True:
                self._pass_on(await protocol.answer_from(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (msgspec.MsgspecError, RecursionError, ValueError):
            _log.exception("the worker sends what is no answer")
        self.is_open = False
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Refused("Unreachable", _ENDED))
        await end(self._pid)

    def _pass_on(self, answer: protocol.Answer) -> None:
        if isinstance(answer, Progress):
            if report := self._progress.get(answer.id):
                report(answer.bytes, answer.total)
        elif (waiting := self._waiting.get(answer.id)) and not waiting.done():
            if isinstance(answer, Failed):
                reason = answer.reason if answer.reason in REASONS else "Unreachable"
                waiting.set_exception(Refused(reason, answer.message[:_LONGEST_MESSAGE]))
            else:
                waiting.set_result(answer)
        is_owed = any(not each.done() for each in self._waiting.values())
        self._silent_since = monotonic() if is_owed else None

    def end_if_silent(self) -> None:
        """Kill the process if it hangs. Whoever waits is told to ask again."""
        if self.is_open and self._silent_since is not None and monotonic() - self._silent_since > _SILENT_SECONDS:
            _log.error("the worker does not answer, and is killed", extra={FIELDS: {"pid": self._pid}})
            self.is_open = False
            os.kill(self._pid, signal.SIGKILL)

    def close_if_idle(self) -> None:
        """End the process if it has answered all."""
        if not self._waiting and self.is_open:
            self.is_open = False
            self._writer.close()

    async def close(self) -> None:
        """End the process."""
        self.is_open = False
        self._writer.close()
        await self._reading
