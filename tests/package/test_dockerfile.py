"""The Dockerfile, as far as it can be judged without an image."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ").strip() for line in TEXT.splitlines() if line.startswith(f"{name} ")]


def copied() -> set[str]:
    """What comes from the checkout."""
    sources = [words[:-1] for words in map(str.split, instructions("COPY")) if not words[0].startswith("--from=")]
    return {source for words in sources for source in words}


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps this entry of the checkout from the build; its last word counts."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    matching = [line for line in lines if fnmatch(name, line.removeprefix("!"))]
    return bool(matching) and not matching[-1].startswith("!")


def test_the_image_starts_from_nothing_and_other_stages_have_names() -> None:
    *stages, last = instructions("FROM")
    assert last == "scratch"
    names = {stage.partition(" AS ")[2] for stage in stages}
    assert "" not in names
    assert set(re.findall(r"^COPY --from=(\S+)", TEXT, re.MULTILINE)) == names


def test_it_runs_as_a_number_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])


def test_it_runs_the_project_s_command_without_a_shell() -> None:
    (command,) = instructions("ENTRYPOINT")
    assert json.loads(command) == [PROJECT["name"]]
    assert PROJECT["name"] in PROJECT["scripts"]


def test_its_labels_are_what_the_project_says_of_itself() -> None:
    labels = dict(label.split("=", 1) for label in shlex.split(instructions("LABEL")[-1]))
    assert {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()} == {
        "title": PROJECT["name"],
        "description": PROJECT["description"],
        "licenses": PROJECT["license"],
        "source": PROJECT["urls"]["Source"],
        "version": "${VERSION}",
        "revision": "${REVISION}",
    }


def test_whatever_is_installed_is_locked_or_built_here() -> None:
    installs = [command for command in re.split("&&|\n", TEXT) if re.search(r"\bpip\b.* install ", command)]
    assert any("--requirement /src/requirements.lock" in command for command in installs)
    for command in installs:
        assert "--require-hashes" in command or "--no-index" in command


def test_the_build_gets_what_is_copied_and_nothing_else() -> None:
    assert {path.name for path in ROOT.iterdir() if not ignored(path.name)} == copied()


def test_what_builds_the_wheel_is_taken_from_the_lock_with_all_that_it_needs() -> None:
    (names,) = re.findall(r"/\^\(([^)]+)\)==/", TEXT)
    needed, left = set(), ["hatchling"]
    while left:
        needed.add(name := left.pop())
        wanted = [Requirement(line) for line in requires(name) or ()]
        left += [canonicalize_name(one.name) for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
    assert set(names.split("|")) == needed


def test_what_is_removed_is_missed_by_nothing_that_the_image_runs() -> None:
    (names,) = re.findall(r"uninstall --yes([a-z0-9 -]+)", TEXT)
    (imports,) = re.findall(r"\$python -c '([^']+)'", TEXT)
    removed = ["attr", "kubernetes.aio", *names.replace("-", "_").split()]
    without = f"import sys; sys.modules.update(dict.fromkeys({removed})); {imports}"
    subprocess.run([sys.executable, "-c", without], timeout=60, check=True)
