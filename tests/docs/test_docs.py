"""Pages that follow the code."""

import re
from pathlib import Path

import pytest
import yaml

from documentation.__main__ import pages
from webhook.fetching.script import SCRIPT

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = {"webhook/strategies/my_image.py", "tests/strategies/test_my_image.py"}
"""The files that CONTRIBUTING.md tells to write."""


@pytest.mark.parametrize(("name", "content"), pages(ROOT).items())
def test_what_the_code_can_print_is_what_stands_there(name: str, content: str) -> None:
    assert (ROOT / name).read_text() == content, "run scripts/docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_yaml_example_is_yaml(page: Path) -> None:
    for example in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        assert list(yaml.safe_load_all(example))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_module_that_a_page_names_exists(page: Path) -> None:
    for name in re.findall(r"`([a-z_]+/[\w/]+\.(?:py|sh|toml))`", page.read_text()):
        assert (ROOT / name).exists() or (ROOT / "webhook" / name).exists() or name in EXAMPLES, name


def test_the_names_in_the_table_of_folders_are_those_of_modules_and_functions() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([a-z_]+)`", page.partition("## Folders")[2].partition("## One pod")[0]))
    files = [*(ROOT / "webhook").rglob("*.py"), *(ROOT / "certs").rglob("*.py")]
    known = {name for file in files for name in (file.stem, file.parent.name)}
    functions = set(re.findall(r"^def (\w+)", "".join(file.read_text() for file in files), re.MULTILINE))
    assert len(named) > 30
    assert named - known - functions == set()


@pytest.mark.parametrize("path", ["/mutate", "/preview", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"])
def test_every_endpoint_stands_in_the_readme(path: str) -> None:
    assert path in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "script", sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix)
)
def test_every_script_says_what_it_does_and_stands_in_the_readme(script: str) -> None:
    if script.startswith(("_", ".")):
        return
    assert (ROOT / "scripts" / script).read_text().splitlines()[1].startswith("# ")
    assert f"scripts/{script}" in (ROOT / "README.md").read_text()


def test_every_reason_of_a_download_stands_in_its_page() -> None:
    page = (ROOT / "docs" / "fetch.md").read_text()
    for reason in set(re.findall(r"(?:finish |reason=)([A-Z]\w+)", SCRIPT)):
        assert f"| `{reason}` |" in page
