"""The driver's side of the worker: starts it when there is something to ask, and ends it when there has not been."""

import asyncio
import itertools
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec

from webhook.errors import InjectorError
from webhook.node_cache import protocol
from webhook.node_cache.processes import fork
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
from webhook.settings import Settings

_LINGER_SECONDS: Final = 30.0
_Answer: TypeAlias = Found | Done | Resolved
_log = logging.getLogger(__name__)
A = TypeVar("A", Found, Done, Resolved)


class Refused(InjectorError):
    """A request failed. `reason` is one of those of init containers, such as Unauthorized."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class WorkerClient:
    """Asks the worker. Used in one event loop, in a process without threads, which it forks."""

    def __init__(self, folder: Path, settings: Settings, user: int | None) -> None:
        """`user` is who the worker runs as, by number; None: as the driver does."""
        self._folder, self._settings, self._user = folder, settings, user
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._progress: dict[int, Callable[[int, int], None]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._pid = 0
        self._end: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._writer is not None

    async def look(self, volume: Volume) -> Found:
        """What a version consists of, as the pod may read it. Raises Refused."""
        return await self._ask(Look(next(self._ids), volume), Found)

    async def fetch(self, volume: Volume, key: str, progress: Callable[[int, int], None]) -> int:
        """Have a version in the cache. `progress` gets the bytes so far, and in all. Raises Refused.

        Returns how many bytes came from peers.
        """
        request = Fetch(next(self._ids), volume, key)
        self._progress[request.id] = progress
        try:
            return (await self._ask(request, Done)).bytes_from_peers
        finally:
            del self._progress[request.id]

    async def remove(self, keys: tuple[str, ...]) -> None:
        """Remove versions that nothing mounts. Raises Refused."""
        await self._ask(Remove(next(self._ids), keys), Done)

    async def resolve(self, wanted: tuple[Wanted, ...]) -> Resolved:
        """What references mean. Raises Refused."""
        return await self._ask(Resolve(next(self._ids), wanted), Resolved)

    async def mark(self, node: str, prefix: str, labels: tuple[str, ...], taint: str) -> None:
        """Make the node's labels with the prefix these, and remove the taint, if that is not empty. Raises Refused."""
        await self._ask(Mark(next(self._ids), node, prefix, labels, taint), Done)

    async def _ask(self, request: Request, kind: type[A]) -> A:
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        try:
            async with self._starting:
                writer = self._writer or await self._start()
            writer.write(protocol.encode(request))
            found = await answer
        finally:
            self._waiting.pop(request.id, None)
            self._rest()
        assert isinstance(found, kind)  # noqa: S101 - the worker answers each request with its kind
        return found

    async def _start(self) -> asyncio.StreamWriter:
        self._pid, connection = fork(self._user, self._work)
        reader, self._writer = await asyncio.open_connection(sock=connection)
        self._reading = asyncio.create_task(self._read(reader, self._pid))
        return self._writer

    def _work(self, connection: socket.socket) -> None:
        from webhook.node_cache.worker import Worker  # noqa: PLC0415 - the driver does not need it

        Worker(connection, self._folder, self._settings).run()

    async def _read(self, reader: asyncio.StreamReader, pid: int) -> None:
        """Pass answers on until the worker ends. Whoever waits then is told to ask again."""
        try:
            while True:
                answer = await protocol.answer_from(reader)
                if isinstance(answer, Progress):
                    if report := self._progress.get(answer.id):
                        report(answer.bytes, answer.total)
                elif (waiting := self._waiting.get(answer.id)) and not waiting.done():
                    if isinstance(answer, Failed):
                        waiting.set_exception(Refused(answer.reason, answer.message))
                    else:
                        waiting.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except msgspec.MsgspecError:
            _log.exception("the worker sends what is no answer")
            os.kill(pid, signal.SIGKILL)
        self._writer = None
        os.waitpid(pid, 0)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Refused("Unreachable", "the worker has ended: it is started again"))

    def _rest(self) -> None:
        """End the worker after a while in which nothing is asked."""
        if self._end:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._stop)

    def _stop(self) -> None:
        if self._writer and not self._waiting:
            self._writer.close()

    def close(self) -> None:
        """End the worker. Downloads stop where they are."""
        if self._writer:
            self._writer.close()
