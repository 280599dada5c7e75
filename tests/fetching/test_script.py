"""The script as a text that travels in every pod, and the shells that run it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fetching.conftest import Model
from tests.support import programs
from tests.support.container import InitContainer
from tests.support.folder import Folder
from tests.support.kubelet import expand
from webhook.fetching.script import KNOWN_ERRORS, SCRIPT, SOURCE, render, strip


def test_it_is_small_enough_to_travel_in_every_pod() -> None:
    assert len(SCRIPT.encode()) <= 8192


def test_it_is_ascii() -> None:
    assert SCRIPT.isascii()


def test_comments_blank_lines_and_indentation_are_dropped_and_nothing_else() -> None:
    source = "# why\n\nif true; then\n\t# why\n\n\techo  a # b \\\n\t\t'#c'\nfi\n"
    assert strip(source) == "if true; then\necho  a # b \\\n'#c'\nfi\n"


@pytest.mark.parametrize("shell", [(programs.busybox, "sh"), (programs.dash,)], ids=["busybox", "dash"])
def test_shells_can_parse_it(shell: tuple[Callable[[], Path], *tuple[str, ...]]) -> None:
    find, *applet = shell
    assert subprocess.run([find(), *applet, "-n", "-c", SCRIPT], capture_output=True, check=True).stderr == b""


def test_replacements_in_awk_have_no_backslash_before_a_character() -> None:
    """Programs differ in it: the awk of busybox 1.38 drops that backslash, and the one of 1.35 keeps it."""
    replacements = re.findall(r'sub\(/\S+/, "((?:[^"\\]|\\.)*)"', SOURCE)
    assert len(replacements) > 5
    assert not [each for each in replacements if re.search(r"\\\\.", each)]


def test_its_here_documents_are_as_they_were_written() -> None:
    written = re.findall(r"<<'(\w+)'\n(.*?\n)\1\n", SOURCE, re.DOTALL)
    assert written
    assert SOURCE.count("<<") == len(written)
    for _, content in written:
        assert content in SCRIPT


@pytest.mark.parametrize("case", ["complete", "corrupt", "uncovered", "torn", "not found"])
def test_it_does_what_the_source_does(fetch: InitContainer, model: Model, volume: Folder, case: str) -> None:
    model.write({"config.json": b"{}", "a folder/weights 1.bin": b"x" * 1000})
    model.write_sha256sums()
    if case == "corrupt":
        model.write({"config.json": b"[]"})
    if case == "uncovered":
        model.write({"more.bin": b"x"})
    if case == "not found":
        shutil.rmtree(model.path)
    left_behind = []
    for script in (render(SOURCE, KNOWN_ERRORS), SCRIPT):
        shutil.rmtree(volume.path, ignore_errors=True)
        if case == "torn":
            volume.write({"config.json1234": b"{", "SHA256SUMS": b"another version"})
        outcome = replace(fetch, script=script)(verify="sha256", skip_pauses=True)
        left_behind.append((outcome.exit_code, replace(outcome.message, seconds=0), volume.read()))
    assert left_behind[0] == left_behind[1]


@pytest.mark.parametrize("text", [SOURCE, SCRIPT], ids=["source", "in pods"])
def test_shellcheck_has_nothing_to_say(tmp_path: Path, text: str) -> None:
    script = tmp_path / "fetch.sh"
    script.write_text(text)
    checked = subprocess.run(
        [programs.shellcheck(), "-s", "sh", script], stdout=subprocess.PIPE, text=True, check=False
    )
    assert checked.stdout == ""
    assert checked.returncode == 0


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(NAME)", "value"),
        ("a$(NAME)b$(NAME)", "avaluebvalue"),
        ("$$(NAME)", "$(NAME)"),
        ("$$$(NAME)", "$value"),
        ("$$$$(NAME)", "$$(NAME)"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$(NAME", "$(NAME"),
        ("$NAME ${NAME} $", "$NAME ${NAME} $"),
        ("$(NAME$(NAME)", "$(NAME$(NAME)"),
        ("$(($(NAME)))", "$(($(NAME)))"),
        ("$()", "$()"),
        ("$5$(NAME)", "$5value"),
    ],
)
def test_this_is_how_kubelet_expands(text: str, expanded: str) -> None:
    assert expand(text, {"NAME": "value"}) == expanded


def test_kubelet_leaves_it_as_it_is(fetch: InitContainer) -> None:
    env = fetch.env | dict.fromkeys(("TERMINATION_LOG", "FETCH_CA_BUNDLE", "PATH"), "value")
    assert expand(SCRIPT, env) == SCRIPT


def test_no_variable_of_any_name_can_change_it() -> None:
    assert "$$" not in SCRIPT
    assert not re.search(r"\$\([-._A-Za-z][-._A-Za-z0-9]*\)", SCRIPT)


def test_it_runs_in_debians_shell_too(fetch: InitContainer, model: Model, volume: Folder, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "a folder/ü.bin": b"x" * 1000, "empty": b""}
    model.write(files)
    model.write_sha256sums()
    path = tmp_path / "s5cmd-only"
    path.mkdir()
    (path / "s5cmd").symlink_to(programs.s5cmd())
    debian = replace(fetch, interpreter=(programs.dash(),), path=Path(f"{path}:{os.defpath}"))
    assert debian(verify="sha256").reason == "Complete"
    assert volume.read() == model.read()
    assert debian(verify="sha256", known=model.known()).reason == "Complete"
    assert debian(known="9,9").reason == "Incomplete"
