"""Builds the documentation as a site. Usage: python -m documentation.site CHECKOUT FOLDER

FOLDER gets the pages in `pages`, and the site in `site`. A broken link, a missing anchor, or a page that the navigation
lacks ends the build.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT_PAGES = {"CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "reporting.md"}
"""The pages outside of docs/, and their names in the site."""
FILES = "files"
"""The folder of the site for files of the repository that pages link to."""
VALUES_PAGE = """# Values of the chart

The chart's `values.yaml`, whose comments explain every value. The keys of `config` are the webhook's
[settings](../settings.md).

```yaml
{values}```
"""
"""A page, so that the search finds every value."""
_LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")


def build(checkout: Path, folder: Path) -> Path:
    """Build the site of a checkout below a folder, and return its place. Raises SystemExit if something is broken."""
    shutil.rmtree(folder / "pages", ignore_errors=True)
    shutil.rmtree(folder / "site", ignore_errors=True)
    shutil.copytree(checkout / "docs" / "theme", folder / "theme", dirs_exist_ok=True)
    shutil.copy(checkout / "docs" / "zensical.toml", folder)
    copy_pages(checkout, folder / "pages")
    (folder / "pages" / "javascripts").mkdir()
    shutil.copy(Path(sys.prefix) / "files" / "mermaid.min.js", folder / "pages" / "javascripts")
    if problem := navigation_problem(folder):
        raise SystemExit(problem)
    program = Path(sys.executable).with_name("zensical")
    command = (program, "build", "--strict", "--clean", "--config-file", folder / "zensical.toml")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout)
    return folder / "site"


def copy_pages(checkout: Path, target: Path) -> None:
    """Copy docs/ and the pages of the root. Links to other files of the repository lead to copies of these."""
    docs = checkout / "docs"
    shutil.copytree(docs, target, ignore=shutil.ignore_patterns("theme", "zensical.toml", "*.md"))
    sources = {path: path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md"))}
    sources |= {checkout / name: page for name, page in ROOT_PAGES.items() if (checkout / name).exists()}
    for source, name in sources.items():
        page = target / name
        page.parent.mkdir(parents=True, exist_ok=True)

        def led(link: re.Match[str], source: Path = source, name: str = name) -> str:
            file = (source.parent / link[2]).resolve()
            if file in sources:
                return link[1] + _relative(sources[file], name)
            if file.is_relative_to(docs) or not file.is_file():
                return link[0]
            place = f"{FILES}/{file.relative_to(checkout).as_posix()}"
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / place)
            return link[1] + _relative(place, name)

        page.write_text(_LINK.sub(led, source.read_text()))
    values = checkout / "charts" / "model-injector" / "values.yaml"
    if values.exists():
        (target / "reference" / "values.md").write_text(VALUES_PAGE.format(values=values.read_text()))


def navigation_problem(folder: Path) -> str:
    """What is wrong with the navigation, with the remedy, or an empty text."""
    config = tomllib.loads((folder / "zensical.toml").read_text())
    listed = list(_pages_of(config["project"]["nav"]))
    pages = {path.relative_to(folder / "pages").as_posix() for path in (folder / "pages").rglob("*.md")}
    if missing := sorted(pages - set(listed)):
        return f"the navigation lacks {', '.join(missing)}: add each to `nav` in docs/zensical.toml"
    if unknown := sorted(set(listed) - pages):
        return (
            f"the navigation has {', '.join(unknown)}, which docs/ lacks: remove each from `nav` in docs/zensical.toml"
        )
    if twice := sorted({page for page in listed if listed.count(page) > 1}):
        return f"the navigation has {', '.join(twice)} twice: remove one from `nav` in docs/zensical.toml"
    return ""


def _pages_of(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        yield from _pages_of(list(entry.values()))
    elif isinstance(entry, list):
        for each in entry:
            yield from _pages_of(each)


def _relative(target: str, page: str) -> str:
    """The link from a page to a target; both are paths below the same folder."""
    return "../" * page.count("/") + target


if __name__ == "__main__":
    print(build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
