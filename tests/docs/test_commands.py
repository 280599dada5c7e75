"""Every command line of the program that a page shows is one that the program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from webhook.cli import parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_PROMPT = re.compile(r"^ *\$ ((?:.*\\\n)*.*)", re.MULTILINE)
_PROGRAM = re.compile(r"(?:^|[|&;] )(?:kubectl )?model-injector ")
_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", ")"}


def shown() -> Iterator[tuple[str, str]]:
    """The name of a page, and the arguments of the program in a command line of it."""
    for page in PAGES:
        for line in _PROMPT.findall(page.read_text()):
            if not _PROGRAM.search(line):
                continue
            words = list(_words(line.replace("\\\n", " ")))
            for at, word in enumerate(words):
                is_command = not at or words[at - 1] in {*_ENDS, "kubectl"}
                if word == "model-injector" and is_command:
                    rest = words[at + 1 :]
                    end = next((index for index, each in enumerate(rest) if each in _ENDS), len(rest))
                    yield page.name, shlex.join(rest[:end])


def _words(line: str) -> Iterator[str]:
    split = shlex.shlex(line, posix=True, punctuation_chars=True)
    split.whitespace_split = True
    yield from split


@pytest.mark.parametrize(("page", "arguments"), sorted(set(shown())), ids=lambda text: text)
def test_a_command_line_that_a_page_shows_is_accepted(page: str, arguments: str) -> None:
    if "…" in arguments:
        pytest.skip(f"{page} shortens it")
    assert parser().parse_args(shlex.split(arguments)).run


def test_command_lines_are_found() -> None:
    assert len(set(shown())) > 40
