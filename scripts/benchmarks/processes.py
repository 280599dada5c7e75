"""Commands that are run to their end, and the memory of processes, by /proc.

PSS counts a page that several processes share as a part of each, so that it can be added up for a tree of processes.
"""

import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.programs import on_path

MIB: Final = 1 << 20
_PAUSE: Final = 0.05
"""Seconds between two samples of a tree's memory."""


class Run(NamedTuple):
    """A command that has ended: seconds, seconds of all processors, and the largest sampled PSS of its tree in MiB."""

    seconds: float
    processor: float
    memory: float


@dataclass
class Peak:
    """The largest sample until now, in MiB."""

    mib: float = 0


def in_own_session(*command: str | Path) -> tuple[str | Path, ...]:
    """The command line that runs it in a session of its own.

    Linux shares processor time between sessions (sched_autogroup). All sides of a comparison have one, so that none
    shares its part with the load generator.
    """
    return (on_path("setsid", "util-linux"), *command)


@contextmanager
def apart() -> Iterator[tuple[str, ...]]:
    """Keep this process to one processor. Yields the command that keeps servers to another; none if there is one only.

    Without it, the kernel has both sides of one connection on one processor now, and on two then, which changes a time
    by a third.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        yield ()
        return
    os.sched_setaffinity(0, allowed[:1])
    try:
        yield (str(on_path("taskset", "util-linux")), "--cpu-list", str(allowed[1]))
    finally:
        os.sched_setaffinity(0, allowed)


def run(command: Sequence[str | Path], env: Mapping[str, str]) -> Run:
    """Run a command in a session of its own. Raises RuntimeError with what it printed if it fails."""
    os.sync()  # what the run before has written is not written during this one
    with tempfile.TemporaryFile() as output:
        before, started = processor_seconds(), time.perf_counter()
        with (
            subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            ) as process,
            sampled(process.pid) as peak,
        ):
            wait(process)
            seconds = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{command[0]} failed: {output.read().decode(errors='replace')[-2000:]}")
    return Run(seconds, processor_seconds() - before, peak.mib)


def wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for the first process of a session. If that is interrupted, the session ends at once."""
    try:
        process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def processor_seconds() -> float:
    """What all children that have ended took, in user and in system mode."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def sampled(pid: int) -> Iterator[Peak]:
    """Sample the PSS of a process and its descendants while the context lasts."""
    peak, stopped = Peak(), threading.Event()

    def sample() -> None:
        is_over = False
        while not is_over:
            peak.mib = max(peak.mib, sum(map(pss_mib, tree(pid))))
            is_over = stopped.wait(_PAUSE)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        stopped.set()
        thread.join()


def tree(pid: int) -> list[int]:
    """A process and its descendants that are alive."""
    found = [pid]
    for parent in found:  # which grows meanwhile
        with suppress(OSError):
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def pss_mib(pid: int) -> float:
    """The proportional set size, 0 for a process that has ended."""
    return _kib(pid, "smaps_rollup", "Pss") / 1024


def resident_mib(pid: int) -> float:
    """The resident set size, 0 for a process that has ended."""
    return _kib(pid, "status", "VmRSS") / 1024


def _kib(pid: int, file: str, name: str) -> int:
    with suppress(OSError):
        if found := re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE):
            return int(found[1])
    return 0
