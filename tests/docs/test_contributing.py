"""The recipes of CONTRIBUTING.md, followed in a copy of the checkout: its files, its changes and its commands."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from documentation.site import copy_pages, navigation_problem
from tests.strategies.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = ("Add a strategy", "Add a setting", "Add an annotation")
IGNORED = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "build", "dist")
SETUP = """#!/bin/sh
# The environment of the test is set up.
"""
TEST = """#!/bin/sh
# Without the programs that only other tests need, in one process.
exec .venv/bin/pytest -p no:cacheprovider -q "$@"
"""


@dataclass(frozen=True)
class Block:
    """A block of code, and the words before it."""

    before: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the words tell to write."""
        found = re.search(r"(?:^|\.\s)Write\s`([^`]+)`:$", self.before)
        return found[1] if found else None


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the page in a checkout."""

    checkout: Path

    def follow(self, recipe: str) -> None:
        """Write the files of a recipe, make its changes, and run its commands. Shown expectations have to come true."""
        for block in blocks(recipe):
            if block.language == "diff":
                self.run("git apply -", block.text)
            elif block.language == "console":
                for command in re.findall(r"^\$ (.*)$", block.text, re.MULTILINE):
                    self.run(command)
            elif block.file:
                (self.checkout / block.file).write_text(block.text)
            else:
                (shown,) = re.findall(r"`([^`]+/expected/[^`]+)`", block.before)
                assert block.text in (self.checkout / shown).read_text()

    def run(self, command: str, text: str = "") -> None:
        """Run a command. Its Python imports the checkout, whose environment has another one installed."""
        folders = (self.checkout, self.checkout / "scripts")
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.checkout,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
            input=text,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def section(heading: str) -> str:
    """The text below a heading of the page. Code may contain other headings."""
    found, is_code, is_here = "", False, False
    for line in PAGE.splitlines(keepends=True):
        is_code ^= line.startswith("```")
        if line.startswith("## ") and not is_code:
            is_here = line == f"## {heading}\n"
        elif is_here:
            found += line
    return found


def blocks(heading: str) -> list[Block]:
    before, *rest = re.split(r"^```(?:(\w+)\n)?", section(heading), flags=re.MULTILINE)
    words = [before, *rest[3::4]]
    return [
        Block(said.strip(), language, text) for said, language, text in zip(words, rest[::4], rest[1::4], strict=False)
    ]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    if (ROOT / "webhook" / "strategies" / "my_image.py").exists():
        pytest.skip("somebody follows the page in this checkout")
    checkout = tmp_path / "model-injector"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*IGNORED))
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    for name, text in {"setup": SETUP, "test": TEST}.items():
        (checkout / "scripts" / name).write_text(text)
    return Reader(checkout)


@pytest.mark.timeout(400)  # several programs, one after the other
def test_the_recipes_add_a_strategy_with_a_setting_and_an_annotation(reader: Reader, tmp_path: Path) -> None:
    for recipe in RECIPES:
        reader.follow(recipe)
    pages = {page: (reader.checkout / "docs" / page).read_text() for page in ("annotations.md", "settings.md")}
    assert "| `my-image` | The pod mounts an image of the model. | `precision` |" in pages["annotations.md"]
    assert "| `strategies.my-image.registry` |" in pages["settings.md"]
    copy_pages(reader.checkout, tmp_path / "pages")
    shutil.copy(reader.checkout / "docs" / "zensical.toml", tmp_path)
    assert navigation_problem(tmp_path) == ""


def test_files_and_tests_that_the_page_names_exist() -> None:
    """Those of the recipes that it tells to write do not exist yet."""
    text = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"(?:docs|scripts|tests|webhook)/[\w./-]*\w/?", text))
    assert len(named) > 10
    assert {
        name for name in named if "my-image" not in name and "my_image" not in name and not (ROOT / name).exists()
    } == set()


def test_checks_that_the_page_names_exist() -> None:
    script = (ROOT / "scripts" / "check").read_text()
    (parts,) = re.findall(r"^\[\[ \$# -gt 0 \]\] \|\| set -- (.*)$", script, re.MULTILINE)
    named = {name for names in re.findall(r"scripts/check ([a-z ]+)", PAGE) for name in names.split()}
    assert named
    assert named <= set(parts.split())
