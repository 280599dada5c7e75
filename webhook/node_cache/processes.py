"""Processes that the driver forks: without its rights, and without its open files."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Final, NoReturn

_REAP_SECONDS: Final = 0.05
_NO_NEW_PRIVILEGES: Final = 38
"""PR_SET_NO_NEW_PRIVS of prctl(2)."""
_ARENA_MAX: Final = -8
"""M_ARENA_MAX of mallopt(3)."""
_libc: Final = ctypes.CDLL(None, use_errno=True)
_log = logging.getLogger(__name__)


def fork(user: int | None, run: Callable[[socket.socket], object]) -> tuple[int, socket.socket]:
    """Run a function in a new process, as a user without rights; None: as this one.

    Returns the process ID, and a socket to it, which ends when either process does. This process must have no threads.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        _become(user, theirs, run)
    theirs.close()
    return pid, ours


async def end(pid: int) -> None:
    """End a process that was forked. It may have closed its socket, and go on, so it is killed."""
    os.kill(pid, signal.SIGKILL)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        await asyncio.sleep(_REAP_SECONDS)


def _become(user: int | None, connection: socket.socket, run: Callable[[socket.socket], object]) -> NoReturn:
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        kept = connection.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
        if user is not None:
            _drop_rights(user)
        if hasattr(_libc, "mallopt"):  # glibc, whose threads each keep what they free: three times the memory
            _libc.mallopt(_ARENA_MAX, 1)
        run(connection)
    except BaseException:  # noqa: BLE001 - nothing may return into the driver
        _log.exception("the process failed")
    os._exit(1)


def _drop_rights(user: int) -> None:
    """Become a user without rights, also by way of programs that have setuid. Raises OSError."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
