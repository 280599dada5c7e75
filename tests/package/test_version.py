"""A release has one version, `webhook.__version__`; whatever else names it agrees."""

import re
from datetime import date
from pathlib import Path

import yaml
from packaging.version import Version

from webhook import __version__

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[(\d.*)\] - (.*)$", CHANGELOG, re.MULTILINE)
NAMED = re.compile(r"(?:\bVERSION=|model-injector:|refs/tags/v|charts/model-injector --version )(\d+\.\d+\.\d+)")


def test_the_chart_has_this_version_and_installs_this_version() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "model-injector" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_changelog_s_newest_release_is_this_version() -> None:
    assert RELEASES[0][0] == __version__


def test_the_changelog_s_releases_descend_and_have_dates() -> None:
    versions = [Version(version) for version, _ in RELEASES]
    dates = [date.fromisoformat(day) for _, day in RELEASES]
    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_what_is_not_released_stands_first_in_the_changelog() -> None:
    assert re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[0] == "[Unreleased]"


def test_each_heading_of_the_changelog_links_to_its_changes() -> None:
    headings = re.findall(r"^## \[(.*?)\]", CHANGELOG, re.MULTILINE)
    links = dict(re.findall(r"^\[(.*)\]: https://\S+/(\S+)$", CHANGELOG, re.MULTILINE))
    assert list(links) == headings
    assert links["Unreleased"] == f"v{__version__}...HEAD"
    assert {version: links[version].rpartition("...")[2] for version, _ in RELEASES} == {
        version: f"v{version}" for version, _ in RELEASES
    }


def test_commands_that_build_verify_or_run_the_image_name_this_version() -> None:
    pages = [ROOT / "Dockerfile", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = {str(page.relative_to(ROOT)): set(NAMED.findall(page.read_text())) for page in pages}
    assert {page for page, versions in named.items() if versions} >= {"Dockerfile", "docs/install.md"}
    assert {page: versions for page, versions in named.items() if versions - {__version__}} == {}
