"""errors.toml: its examples, classified by the script under busybox."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import programs
from webhook.fetching.script import KNOWN_ERRORS, SCRIPT, SOURCE, KnownError, render

FUNCTIONS = re.compile(r"^(?:fatal|classify)\(\) \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
EXAMPLES = [(error, example) for error in KNOWN_ERRORS for example in error.examples]
PAGE = Path(__file__).parents[2] / "docs" / "fetch.md"


@dataclass(frozen=True)
class Classified:
    """What `classify` makes of a program's output."""

    reason: str
    final: str
    message: str


def classified(printed: str, folder: Path, script: str = SCRIPT, **env: str) -> Classified:
    functions = "".join(FUNCTIONS.findall(script))
    (folder / "err").write_text(printed)
    done = subprocess.run(
        [programs.busybox(), "sh", "-c", functions + 'classify; printf "%s\\n" "$reason" "$final" "$message"'],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return Classified(*done.stdout.removesuffix("\n").split("\n"))


@pytest.mark.parametrize(("error", "example"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_example_has_the_reason_and_the_message_of_its_entry(
    error: KnownError, example: str, tmp_path: Path
) -> None:
    message = f"{error.advice}. {example}" if error.advice else example
    assert classified(f"{example}\n", tmp_path) == Classified(error.reason, "" if error.retried else "1", message)


@pytest.mark.parametrize(("error", "example"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_credentials_in_the_environment_are_not_waited_for(error: KnownError, example: str, tmp_path: Path) -> None:
    static = {"AWS_SESSION_TOKEN": "any"}
    is_final = classified(f"{example}\n", tmp_path, **static).final != ""
    assert is_final == (error.retried is not True)


def test_each_pattern_has_an_example() -> None:
    for error in KNOWN_ERRORS:
        unquoted = [re.sub('"[^"]*"|/[^ ]*: ', "", example) for example in error.examples]
        for pattern in error.patterns:
            assert any(pattern in example for example in unquoted), pattern


def test_an_error_that_is_not_in_the_table_is_unreachable_and_retried(tmp_path: Path) -> None:
    assert classified("ERROR something new\n", tmp_path) == Classified("Unreachable", "", "ERROR something new")


NAMES = [
    'ERROR "cp s3://b/m-1/a"NoSuch.bin /m-1/a"NoSuch.bin": EOF',
    'ERROR "cp s3://b/m-1/a /m-1/a": write /m-1/NoSuch Glacier: Expired123: input/output error',
    'ERROR "ls s3://b/m-1/*": RequestError: send request failed caused by: Get "http://NoSuch": EOF',
]


@pytest.mark.parametrize("printed", NAMES, ids=["quotes", "file", "url"])
def test_names_are_no_errors(printed: str, tmp_path: Path) -> None:
    assert classified(f"{printed}\n", tmp_path) == Classified("Unreachable", "", printed)


@pytest.mark.parametrize("printed", ["", '"Killed or not"\n'])
def test_no_output_outside_quotes_is_timed_out(tmp_path: Path, printed: str) -> None:
    assert classified(printed, tmp_path) == Classified("TimedOut", "", f"raise timeout. {printed.strip()}")


@pytest.mark.parametrize("words", [pattern for error in KNOWN_ERRORS for pattern in error.patterns])
def test_patterns_are_not_looked_for_in_quotes(tmp_path: Path, words: str) -> None:
    assert classified(f'ERROR "ls s3://{words}": EOF\n', tmp_path).reason == "Unreachable"


def test_of_several_errors_the_first_entry_decides_and_the_last_line_is_shown(tmp_path: Path) -> None:
    printed = "ERROR a: AccessDenied\nERROR b: no space left on device\nERROR c: SlowDown\n"
    assert classified(printed, tmp_path) == Classified("OutOfSpace", "1", "raise size-limit. ERROR c: SlowDown")


def test_the_source_runs_without_the_table_and_retries_every_error(tmp_path: Path) -> None:
    assert classified("ERROR no object found\n", tmp_path, SOURCE).reason == "Unreachable"


def test_a_script_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"fetch\.sh has no line"):
        render("set -f\n", KNOWN_ERRORS)


def test_the_page_says_which_reasons_are_retried() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE))
    for reason in {error.reason for error in KNOWN_ERRORS} - {"TimedOut"}:
        retried = {error.retried for error in KNOWN_ERRORS if error.reason == reason}
        expected = "yes" if retried == {True} else "no" if retried == {False} else "yes, but "
        assert rows[reason].startswith(expected)
