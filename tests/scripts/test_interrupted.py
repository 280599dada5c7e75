"""Commands that take minutes: what they refuse at once, and what is left when they are interrupted."""

import signal
import subprocess
import sys
import time
from types import ModuleType

import pytest
from hypothesis import strategies as st

import benchmarks.__main__
import fuzzing.__main__
import soak_testing.__main__
from benchmarks import processes
from fuzzing import checks
from fuzzing.__main__ import run
from fuzzing.targets import Target


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (benchmarks.__main__, ("start", "--rounds", "0"), "--rounds has to be more than 0"),
        (benchmarks.__main__, ("start", "--json", "/nowhere/figures.json"), "/nowhere/figures.json cannot be written"),
        (soak_testing.__main__, ("--minutes", "nan"), "--minutes has to be more than 0"),
        (soak_testing.__main__, ("--plot", "/"), "/ cannot be written"),
        (fuzzing.__main__, ("--minutes", "-1"), "--minutes has to be 0 or more"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_minutes_pass(
    command: ModuleType,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_command_that_is_measured_ends_with_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:

        def interrupted(*_: object) -> None:
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(process, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            processes.wait(process)
        assert process.wait(10) == -signal.SIGKILL


def test_an_input_that_takes_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_HANGS_SECONDS", 0.3)

    def check(_: int) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pass

    result = run(Target(st.just(1), check), 0, batch=1)
    assert "input: 1\n" in result.failure
    assert result.failure.endswith("Violation: it takes more than 0.3 s of processor time")
