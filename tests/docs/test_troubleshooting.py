"""docs/troubleshooting.md keeps up with the code: reasons, messages, annotations, settings and commands.

A table whose first column is `message` quotes model-injector in the code spans of that column; `…` stands for the rest.
"""

import ast
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import webhook
from tests.support.command_line import run
from webhook.annotations.contract import BY_NAME, WRITTEN
from webhook.fetching.script import KNOWN_ERRORS
from webhook.model.refusals import Refusal
from webhook.settings.loading import declared

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "model-injector"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
OUTCOMES = (ROOT / "docs" / "fetch.md").read_text()
SPANS = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))


def refusals(parent: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for child in parent.__subclasses__():
        if child.__module__.startswith("webhook."):
            yield child
        yield from refusals(child)


def quoted() -> list[str]:
    """The messages that the page quotes."""
    found, quotes = list[str](), False
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            quotes = False
            continue
        first = line.split(" | ", 1)[0]
        quotes = quotes or first == "| message"
        if quotes:
            found += re.findall(r"`([^`]+)`", first)
    return found


def texts() -> Iterator[str]:
    """What the code can print: the texts of Python, with `…` for values, and files that contain messages."""
    for folder in ("webhook", "certs"):
        for path in (ROOT / folder).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            for node in nodes:
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                    yield node.value
    yield from (error.advice for error in KNOWN_ERRORS)
    script = (ROOT / "webhook/fetching/fetch.sh").read_text().splitlines()
    yield from (line for line in script if not line.lstrip().startswith("#"))
    for path in (*(CHART / "templates").rglob("*.*"), CHART / "files" / "send_pod.py"):
        yield " ".join(path.read_text().split())


TEXTS = tuple(texts())


def headings(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_reason_of_a_refusal_stands_on_the_page() -> None:
    for module in pkgutil.walk_packages(webhook.__path__, "webhook."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    reasons = {refusal.reason for refusal in refusals()}
    assert "InvalidAnnotation" in reasons
    assert not reasons - set(SPANS)


def test_every_reason_of_a_download_stands_on_the_page_or_on_the_one_that_it_leads_to() -> None:
    assert "(fetch.md#how-it-ends)" in PAGE
    for error in KNOWN_ERRORS:
        assert f"`{error.reason}`" in PAGE + OUTCOMES


def test_every_advice_of_a_download_stands_on_the_page() -> None:
    assert {error.advice for error in KNOWN_ERRORS if error.advice} <= set(quoted())


@pytest.mark.parametrize("message", quoted())
def test_a_message_on_the_page_is_one_that_the_code_can_print(message: str) -> None:
    parts = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")), re.DOTALL)
    assert any(map(parts.search, TEXTS))


def test_messages_are_quoted() -> None:
    assert len(quoted()) > 80


def test_the_annotations_on_the_page_exist() -> None:
    named = set(re.findall(r"(?<![\w.-])model-injector\.io/([a-z-]+)", PAGE))
    assert named
    assert not named - {*BY_NAME, *WRITTEN}


def test_the_settings_and_values_on_the_page_exist() -> None:
    settings = {setting.path for setting in declared()}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    groups = "|".join({path.partition(".")[0] for path in settings if "." in path} | {*values})
    found = (re.fullmatch(rf"((?:{groups})(?:\.[a-z]\w+)+)(: \S+)?", span) for span in SPANS)
    names = {each[1] for each in found if each}
    assert len(names) > 20
    for name in names:
        assert name.removeprefix("config.") in settings or is_in(values, name), name


def is_in(values: object, name: str) -> bool:
    for key in name.split("."):
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


@pytest.mark.parametrize("target", re.findall(r"\]\(([\w/.]*)#([^)]*)\)", PAGE), ids="#".join)
def test_a_link_into_a_page_leads_to_a_heading(target: tuple[str, str]) -> None:
    page, anchor = target
    assert anchor in headings((ROOT / "docs" / page).read_text() if page else PAGE)


@pytest.mark.parametrize(
    "command", [span for span in SPANS if re.match(r"(kubectl )?model-injector [a-z]", span) and "…" not in span]
)
def test_a_command_on_the_page_has_the_actions_and_options_that_it_is_given(command: str) -> None:
    words = shlex.split(command.removeprefix("kubectl "))[1:]
    actions = [word for word in words[:3] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
    depth = {"catalog": 2, "certs": 2}.get(words[0], 1) + (words[:2] == ["catalog", "alias"])
    done = run(*actions[:depth], "--help")
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){option}\b", done.stdout), option
