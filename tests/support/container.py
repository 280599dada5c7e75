"""Runs fetch.sh as kubelet and the container runtime run an init container."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from tests.support.kubelet import expand
from tests.support.outcome import Outcome
from tests.support.programs import busybox
from webhook.fetching.script import MARK, SCRIPT

FLAGS = ("--numworkers", "8", "--retry-count", "3")
NO_RETRY = ("--retry-count", "0")
"""Of s5cmd's own; the script's remain."""
_OVERTIME = 45
"""Seconds after a download's own limit: whatever runs longer hangs."""
_TICKS = """
sleep() {
	# The progress report sleeps beside the download.
	if [ "$1" = 10 ]; then
		read -r _ <"$TICKS"
	else
		command sleep "$1"
	fi
}
"""
"""A shell function by which a test says when the next progress report is due."""
_SKIP_PAUSES = """
date() {
	command date -d "@$(($(command date +%s) + $(cat "$SKIPPED_SECONDS")))" "$@"
}
sleep() {
	# The progress report sleeps beside the download.
	if [ "$1" = 10 ]; then
		command sleep 10
	else
		echo $(($(cat "$SKIPPED_SECONDS") + $1)) >"$SKIPPED_SECONDS"
	fi
}
"""
"""Shell functions that put the clock forward instead of sleeping."""


class Options(TypedDict, total=False):
    """The script's arguments, and how it is run. What is left out is that of a pod which asks for nothing special."""

    uri: str
    known: str
    """FILES,BYTES, or - where nothing is known."""
    verify: Literal["size", "sha256", "none"]
    limit: int
    mode: str
    parts: int
    flags: Sequence[str]
    env: Mapping[str, str | None]
    """Added to the container's environment, or taken away (None)."""
    skip_pauses: bool
    """Put the script's clock forward instead of pausing between attempts."""
    ticks: Path
    """A named pipe. The script reports the progress once for each line in it, instead of each 10 seconds."""
    inside: Sequence[str]
    """A command line to run it in: see mounts."""


@dataclass(frozen=True)
class Running:
    """A run under way."""

    process: subprocess.Popen[bytes]
    log_file: Path
    termination_log: Path
    started: float
    latest: float

    def log(self) -> str:
        """What it has printed until now."""
        return self.log_file.read_text(errors="replace")

    def wait(self) -> Outcome:
        """Until it ends by itself. Raises TimeoutExpired where it hangs."""
        try:
            exit_code = self.process.wait(timeout=self.latest - time.monotonic())
            seconds = time.monotonic() - self.started
        finally:
            self._kill_group()
            self.process.wait()
        return Outcome(exit_code, self.log(), self.termination_log.read_text(), seconds)

    def terminate(self) -> None:
        """SIGTERM to the first process alone: a container runtime's first word."""
        self.process.terminate()

    def wait_for_log(self, text: str) -> None:
        """Until it has printed this."""
        while text not in self.log():
            assert time.monotonic() < self.latest, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)

    def kill(self) -> Outcome:
        """SIGKILL to every process: its last word, and the first when a node is out of memory."""
        self._kill_group()
        return self.wait()

    def programs(self) -> list[str]:
        """The names of its processes, itself included, that are alive."""
        return [name for name, state, group in _processes() if group == self.process.pid and state != "Z"]

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class InitContainer:
    """What stands around the script: an image's programs (`path`), the environment, the volume's folder.

    Each run has a log and a termination log of its own in `logs`. Calling it runs the script to its end.
    """

    uri: str
    destination: Path
    path: Path
    env: dict[str, str]
    logs: Path
    interpreter: Sequence[str | Path] = field(default_factory=lambda: (busybox(), "sh"))
    script: str = SCRIPT
    runs: list[Running] = field(default_factory=list, repr=False)

    def __call__(self, **options: Unpack[Options]) -> Outcome:
        """Run the script to its end."""
        return self.start(**options).wait()

    def start(self, **options: Unpack[Options]) -> Running:
        """Start the script, with nothing of our own environment."""
        termination_log = self.logs / f"termination-{len(self.runs)}"
        log_file = self.logs / f"log-{len(self.runs)}"
        termination_log.touch()
        declared = {**self.env, "TERMINATION_LOG": str(termination_log), **options.get("env", {})}
        script = self.script
        if options.get("skip_pauses"):
            script = _SKIP_PAUSES + script
            skipped = self.logs / f"skipped-{len(self.runs)}"
            skipped.write_text("0")
            declared["SKIPPED_SECONDS"] = str(skipped)
        if ticks := options.get("ticks"):
            script = _TICKS + script
            declared["TICKS"] = str(ticks)
        env = {name: value for name, value in declared.items() if value is not None}
        limit = options.get("limit", 30)
        arguments = (
            options.get("uri", self.uri),
            str(self.destination),
            options.get("known", "-"),
            options.get("verify", "size"),
            str(limit),
            options.get("mode", "a+rX"),
            str(options.get("parts", 4)),
            *options.get("flags", FLAGS),
        )
        command = ["-c", *(expand(word, env) for word in (script, MARK, *arguments))]
        started = time.monotonic()
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*options.get("inside", ()), *self.interpreter, *command],
                env={"PATH": str(self.path), **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.runs.append(Running(process, log_file, termination_log, started, started + limit + _OVERTIME))
        return self.runs[-1]

    def close(self) -> None:
        """Kill what a test has left running."""
        for run in self.runs:
            if run.process.poll() is None:
                run.kill()


def _processes() -> Iterator[tuple[str, str, int]]:
    """Name, state and process group of every process: see proc(5)."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            name, _, rest = file.read_text().partition("(")[2].rpartition(")")
            state, _, group = rest.split()[:3]
            yield name, state, int(group)
