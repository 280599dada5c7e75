"""A reader of the site finds every annotation, setting, command, metric, alert, event and typed reason of the code."""

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from documentation.commands import commands
from documentation.signals import download_reasons, log_lines, metric_families, refusal_reasons, registries
from tests.chart.conftest import CHART, NEWEST_KUBERNETES
from tests.chart.test_monitoring import rules
from tests.docs.site import Page, read_all
from tests.docs.test_troubleshooting import is_in
from webhook.admission import pinning
from webhook.admission.result import REASONS
from webhook.annotations.contract import ANNOTATIONS, WRITTEN
from webhook.controller.events import DESCRIBED, EventReason
from webhook.node_cache.refusals import MEANINGS
from webhook.node_cache.refusals import REASONS as STATUSES
from webhook.settings import Settings
from webhook.settings.loading import declared
from webhook.strategies import STRATEGIES

ROOT = Path(__file__).parents[2]
DECIDING = ("AdmissionResult", "_Exemption", "msgspec.structs.replace")
DECIDED_REASONS = {reason for reasons in REASONS.values() for reason in reasons}


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): page for path, page in read_all(site).items()}


@pytest.fixture(scope="module")
def code(pages: dict[str, Page]) -> set[str]:
    """What stands as code on the pages, but on the one about changes, which may name what is gone."""
    return {text for name, page in pages.items() if name != "changes.html" for text in page.code}


def object_keys() -> set[str]:
    """The labels and annotations that the code writes on objects, or reads of them: what follows the prefix."""
    found = set()
    for path in (ROOT / "webhook").rglob("*.py"):
        text = path.read_text()
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.JoinedStr):
                found |= set(_keys(node.values, module))
    return {name for name in found if not name.endswith("-")}  # the rest of such a name differs from version to version


def _keys(parts: Sequence[ast.expr], module: str) -> Iterator[str]:
    for before, slash, after in zip(parts, parts[1:], [*parts[2:], None], strict=False):
        if not (isinstance(before, ast.FormattedValue) and ast.unparse(before.value).endswith("prefix")):
            continue
        if not (isinstance(slash, ast.Constant) and str(slash.value).startswith("/")):
            continue
        if slash.value != "/":
            yield from re.findall(r"\A/([a-z-]+[a-z])\Z", str(slash.value))
        elif isinstance(after, ast.FormattedValue) and isinstance(after.value, ast.Name) and after.value.id.isupper():
            yield getattr(importlib.import_module(module), after.value.id)


@pytest.mark.parametrize("name", [*(annotation.name for annotation in ANNOTATIONS), *WRITTEN])
def test_an_annotation_of_pods_is_on_the_site(name: str, code: set[str]) -> None:
    assert code & {name, f"model-injector.io/{name}"}


@pytest.mark.parametrize("name", sorted(object_keys()))
def test_a_label_or_an_annotation_of_objects_is_on_the_site(name: str, code: set[str]) -> None:
    assert code & {name, f"model-injector.io/{name}"}, "describe it in docs/objects.md"


def test_labels_and_annotations_of_objects_are_found_in_the_code() -> None:
    assert {"state", "uri", "rollout"} <= object_keys()


@pytest.mark.parametrize(("path", "variable"), [(setting.path, setting.variable) for setting in declared()])
def test_a_setting_is_on_the_site(path: str, variable: str, code: set[str]) -> None:
    assert {path, variable} <= code


def keys(group: type[BaseModel]) -> Iterator[str]:
    """The keys of a group's mapping, and of the mappings in it, in lists of it, and so on."""
    for field in group.model_fields.values():
        yield str(field.alias)
        found = [field.annotation]
        for annotation in found:
            found += get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from keys(annotation)


@pytest.mark.parametrize("key", sorted({*keys(Settings)}))
def test_a_key_of_the_settings_is_on_their_page(key: str, pages: dict[str, Page]) -> None:
    assert any(key in text.split(".") for text in pages["settings.html"].code)


def test_keys_of_mappings_in_lists_are_found() -> None:
    assert {"strategyRules", "timeZone", "serviceAccounts", "claimName"} <= {*keys(Settings)}


@pytest.mark.parametrize("strategy", [*STRATEGIES])
def test_a_strategy_has_a_page(strategy: str, pages: dict[str, Page]) -> None:
    assert f"strategies/{strategy}.html" in pages


@pytest.mark.parametrize("command", [name for name, _, _ in commands()])
def test_a_command_is_on_the_site(command: str, pages: dict[str, Page]) -> None:
    assert command.replace(" ", "-") in pages["reference/commands.html"].anchors


def test_every_argument_of_a_command_has_a_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    assert not re.findall(r"^\| (.*) \|  \|$", page, re.MULTILINE)


@pytest.mark.parametrize("program", [*registries()])
def test_a_metric_is_on_the_site(program: str, code: set[str]) -> None:
    names = {name for name, _, _, _ in metric_families(registries()[program])}
    assert len(names) > 10
    assert names <= code


def test_the_help_of_every_metric_in_the_code_is_on_the_page_about_metrics() -> None:
    """So a metric that is created elsewhere than the page's generator looks is found too."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    creating = [path for path in (ROOT / "webhook").rglob("*.py") if "CollectorRegistry" in path.read_text()]
    assert len(creating) == len(registries())
    for path in creating:
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                assert not node.value.endswith(".") or f"| {node.value} |" in page


@pytest.mark.parametrize("reason", sorted({*refusal_reasons(), *DECIDED_REASONS, *download_reasons(), *MEANINGS}))
def test_a_reason_is_on_the_site(reason: str, pages: dict[str, Page]) -> None:
    assert reason in pages["reference/reasons.html"].code


@pytest.mark.parametrize("reason", sorted(MEANINGS))
def test_a_reason_of_the_node_cache_is_on_the_page_of_the_strategy_with_what_to_do(reason: str) -> None:
    assert f"| `{reason}` | " in (ROOT / "docs" / "strategies" / "node-cache.md").read_text()


@pytest.mark.parametrize("reason", get_args(EventReason))
def test_an_event_is_on_the_site(reason: str, pages: dict[str, Page]) -> None:
    assert reason in pages["reference/reasons.html"].code


@pytest.mark.parametrize("message", sorted(log_lines(ROOT)))
def test_a_log_line_is_on_the_site(message: str, pages: dict[str, Page]) -> None:
    assert message in pages["reference/logs.html"].code


def test_an_alert_is_on_the_page_about_operations_with_its_severity_and_what_to_do(pages: dict[str, Page]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    alerts = rules()
    assert len(alerts) > 15
    for name, rule in alerts.items():
        assert name.lower() in pages["operations.html"].anchors
        assert f"| [`{name}`](#{name.lower()}) | {rule['labels']['severity']} |" in page
    assert set(re.findall(r"ModelInjector\w+", page)) == set(alerts)


def test_every_event_and_every_reason_of_the_node_cache_has_a_meaning() -> None:
    assert set(DESCRIBED) == set(get_args(EventReason))
    assert set(MEANINGS) == set(STATUSES)


def test_every_refusal_has_a_meaning_and_a_reason_of_its_own() -> None:
    assert "InvalidAnnotation" in refusal_reasons()
    assert all(meaning.endswith(".") for meaning in refusal_reasons().values())


def test_every_reason_that_a_decision_is_given_has_a_meaning() -> None:
    given = set[str]()
    for path in (ROOT / "webhook").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in DECIDING:
                given |= set(_words([*node.args, *(each.value for each in node.keywords if each.arg == "reason")]))
    given |= set(pinning._NOTHING_DONE)
    assert {"Pinned", "OptedOut", "Restored", "MirrorPod", "NothingToPin"} <= given
    assert given <= DECIDED_REASONS


def _words(arguments: Sequence[ast.expr]) -> Iterator[str]:
    """The words in CamelCase among a call's arguments."""
    for argument in arguments:
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and re.fullmatch(r"([A-Z][a-z]+)+", str(node.value)):
                yield str(node.value)


@pytest.mark.parametrize("name", ["operations", "security", "compatibility", "quick-start", "concepts", "comparison"])
def test_the_settings_and_values_that_a_page_names_exist(name: str, pages: dict[str, Page]) -> None:
    settings = {setting.path for setting in declared()}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    groups = "|".join({path.partition(".")[0] for path in settings if "." in path} | {*values})
    for text in pages[f"{name}.html"].code:
        found = re.fullmatch(rf"((?:{groups})(?:\.[a-z]\w+)+)(: \S+)?", text)
        if found:
            path = found[1].removeprefix("config.")
            assert (
                path in settings or is_in(values, found[1]) or any(each.startswith(f"{path}.") for each in settings)
            ), text


def test_the_page_about_compatibility_has_the_versions_that_are_tested() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    assert f"| Python | {', '.join(workflow['jobs']['test']['strategy']['matrix']['python'])} |" in page
    oldest = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    assert f"| the chart's objects | {oldest} and {NEWEST_KUBERNETES}, the oldest and the newest |" in page
