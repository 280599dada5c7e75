"""Writes the tables and plots of docs/performance.md from the reports beside it: `scripts/bench page`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.plot import svg
from benchmarks.report import decode, groups, table

PAGE: Final = Path("docs/performance.md")
REPORTS: Final = Path("docs/performance")
_PLACE: Final = re.compile(r"(<!-- scripts/bench ([a-z-]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def write(root: Path) -> None:
    """Write the page, and a plot for each report."""
    for name, content in files(root).items():
        (root / name).write_text(content)


def files(root: Path) -> dict[Path, str]:
    """What the page and the plots have to contain. Text outside the page's marks stays as it is."""
    text = (root / PAGE).read_text()
    found = {PAGE: _PLACE.sub(lambda place: place[1] + _section(root, place[2]), text)}
    for report in sorted((root / REPORTS).glob("*.json")):
        if report.stem != "figures":
            found[REPORTS / f"{report.stem}.svg"] = svg(decode(report.read_text()))
    return found


def _section(root: Path, area: str) -> str:
    report = root / REPORTS / f"{area}.json"
    if not report.exists():
        return ""
    return "\n".join(["", *_lines(report.read_text(), area), ""])


def _lines(report: str, area: str) -> Iterator[str]:
    content = json.loads(report)
    machine = content["machine"]
    yield f"""\
Measured with `{content["command"]}` on a machine with {machine["processors"]} processors ({machine["model"]}),
{machine["memory_gib"]} GiB of memory, {machine["system"]}, Python {machine["python"]}.
"""
    if area != "figures":
        yield f"![Bars of the figures below]({REPORTS.name}/{area}.svg)\n"
    for group, figures in groups(decode(report)).items():
        yield f"**{group}**\n\n{table(figures)}"
