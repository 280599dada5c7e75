"""The settings, values and annotations that pages show as YAML are accepted by the chart and by the program."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHART, render
from tests.support.command_line import run
from webhook.settings import Settings
from webhook.settings.loading import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS = {field.alias for field in Settings.model_fields.values()}
VALUES = yaml.safe_load((CHART / "values.yaml").read_text()).keys()
PREFIX = "model-injector.io/"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "app"},
    "spec": {"containers": [{"name": name, "image": "app:1"} for name in ("app", "router", "encoder")]},
}


def shown() -> Iterator[tuple[str, Any]]:
    """The name of a page, and a mapping that it shows as YAML."""
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            yield from ((page.name, each) for each in yaml.safe_load_all(block) if isinstance(each, dict))


def named(page: str, mapping: dict[str, Any]) -> Any:
    return pytest.param(mapping, id=f"{page}-{'-'.join(map(str, mapping))}")


@pytest.mark.parametrize(
    "values", [named(page, each) for page, each in shown() if each.keys() <= VALUES and each.keys() != {"volumes"}]
)
def test_values_that_a_page_shows_are_rendered(values: dict[str, Any], tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(render(values).settings_file)
    assert load(settings).bucket


@pytest.mark.parametrize(
    "settings", [named(page, each) for page, each in shown() if each.keys() <= SETTINGS and not each.keys() <= VALUES]
)
def test_settings_that_a_page_shows_are_valid(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"bucket": "my-ml-bucket", **settings}))
    assert load(file).bucket


@pytest.mark.parametrize(
    "annotations", [named(page, each) for page, each in shown() if all(str(key).startswith(PREFIX) for key in each)]
)
def test_annotations_that_a_page_shows_are_valid(annotations: dict[str, str], tmp_path: Path) -> None:
    file, several = tmp_path / "pod.yaml", f"{PREFIX}models" in annotations
    model = {} if several else {f"{PREFIX}model": "my-model", f"{PREFIX}version": "1.2.3"}
    pod = {**POD, "metadata": {"name": "app", "annotations": model | annotations}}
    file.write_text(yaml.safe_dump(pod))
    done = run("preview", "-f", str(file), MODEL_INJECTOR_BUCKET="my-ml-bucket")
    assert "annotation" not in done.stderr, done.stderr


def test_snippets_are_found() -> None:
    assert len({page for page, each in shown() if each.keys() <= VALUES}) > 10
