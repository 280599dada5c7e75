"""The fuzzing, with few inputs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fuzzing.__main__ import run
from fuzzing.checks import Violation, in_folder, message, only_adds
from fuzzing.targets import Target

ROOT = Path(__file__).parents[2]
TARGETS = (
    *("annotations", "reviews", "manifests", "catalog-files"),
    *("listings", "versions", "volumes", "registry", "settings"),
)


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fuzzing", *arguments]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)


def test_every_target_passes_with_some_inputs() -> None:
    done = fuzz("--minutes", "0", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [line[0] for line in lines] == list(TARGETS)
    assert all(int(line[1]) >= 20 for line in lines)


def test_an_unknown_target_is_named() -> None:
    done = fuzz("kernel")
    assert done.returncode == 2
    assert "unknown target kernel" in done.stderr


def test_an_input_that_fails_is_reduced() -> None:
    def check(number: int) -> None:
        if number > 1000:
            raise Violation(f"{number} is too large")

    result = run(Target(st.integers(), check), 60)
    assert "input: 1001\n" in result.failure
    assert result.failure.endswith("Violation: 1001 is too large")


@pytest.mark.parametrize("text", ["two\nlines", "x" * 3000, "the secret"])
def test_a_message_that_must_not_be_is_found(text: str) -> None:
    with pytest.raises(Violation):
        message(text, "secret")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 2}),
        ({"a": [{"name": "x"}, {"name": "y"}]}, {"a": [{"name": "y"}, {"name": "x"}]}),
        ({"a": [1]}, {"a": []}),
        ({"spec": {"serviceAccountName": "mine"}}, {"spec": {"serviceAccountName": "other"}}),
        ({"metadata": {"annotations": {"mine": "x"}}}, {"metadata": {"annotations": {"mine": "y"}}}),
    ],
)
def test_a_patch_that_does_more_than_add_is_found(before: object, after: object) -> None:
    with pytest.raises(Violation):
        only_adds([{"op": "add"}], before, after)
    with pytest.raises(Violation):
        only_adds([{"op": "remove"}], before, before)
    only_adds([{"op": "add"}], before, before)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a//x", ".", "", "a\0b"])
def test_a_path_that_leads_out_of_its_folder_is_found(path: str) -> None:
    with pytest.raises(Violation):
        in_folder(path)
    in_folder("tokenizer/..vocab.txt")
