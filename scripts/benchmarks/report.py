"""Figures of benchmarks: what was measured, what it is compared with, and the bound that it has to meet.

Comparisons are ratios of pairs: both sides run in turn, and the ratio is the median of the ratios of the rounds. So
other load on the machine affects both sides, and a single slow run counts for little.
"""

import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bound:
    """A limit of a figure: the largest value that is allowed, or with `is_least` the smallest."""

    limit: float
    is_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value >= self.limit if self.is_least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """A measured value.

    `group` is the heading of its table. `ratio` is that to the figure named `against`, and a bound is one of the ratio
    if there is one. A figure that could not be measured has no value, and `note` says what it needs. `is_other`: it is
    a figure of what the project is compared with.
    """

    group: str
    name: str
    unit: str
    value: float | None = None
    against: str = ""
    ratio: float | None = None
    bound: Bound | None = None
    note: str = ""
    is_other: bool = False

    @property
    def is_met(self) -> bool | None:
        """None without a bound, and without a value."""
        bounded = self.value if self.ratio is None else self.ratio
        return None if self.bound is None or bounded is None else self.bound.is_met(bounded)


def missing(group: str, name: str, note: str, bound: Bound | None = None) -> Figure:
    """A figure that cannot be measured here; `note` says why."""
    return Figure(group, name, "", bound=bound, note=note)


def median(values: Iterable[float]) -> float:
    """The median, as a float."""
    return float(statistics.median(values))


def ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of the rounds. Raises ValueError if the sides have different numbers of rounds."""
    return median(one / other for one, other in zip(ones, others, strict=True))


def compared(
    figure: Figure, values: Sequence[float], against: str, others: Sequence[float], bound: Bound | None = None
) -> Figure:
    """The figure with the median of the rounds as its value, and its ratio to another side of the same rounds."""
    return replace(figure, value=median(values), against=against, ratio=ratio(values, others), bound=bound)


def groups(figures: Iterable[Figure]) -> dict[str, list[Figure]]:
    """The figures by group, in their order."""
    found: dict[str, list[Figure]] = {}
    for figure in figures:
        found.setdefault(figure.group, []).append(figure)
    return found


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table of figures, without the columns in which no figure has anything."""
    rows = [("", "value", "ratio", "to", "bound", ""), *(_row(figure) for figure in figures)]
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(3, *map(len, column)) for column in columns]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in zip(*columns, strict=True)
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]) + "\n"


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {None: "", True: "met", False: "**missed**"}[figure.is_met]
    return (
        figure.name,
        figure.note if figure.value is None else f"{number(figure.value)} {figure.unit}".rstrip(),
        "" if figure.ratio is None else f"{figure.ratio:.2f}" if figure.ratio >= 0.1 else number(figure.ratio),
        figure.against,
        str(figure.bound or ""),
        verdict,
    )


def number(value: float) -> str:
    """A number with three significant digits, and with separators of thousands."""
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def encode(command: str, figures: Sequence[Figure]) -> str:
    """A report as JSON: the command, the machine, and each figure."""
    defaults = asdict(Figure("", "", ""))
    found = [{name: value for name, value in asdict(figure).items() if value != defaults[name]} for figure in figures]
    return json.dumps({"command": command, "machine": machine(), "figures": found}, indent=2) + "\n"


def decode(report: str) -> list[Figure]:
    """The figures of a report. Raises KeyError and TypeError for a document that `encode` did not write."""
    found = []
    for figure in json.loads(report)["figures"]:
        bound = Bound(**figure["bound"]) if "bound" in figure else None
        found.append(Figure(**{"unit": "", **figure, "bound": bound}))
    return found


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": models[0] if models else platform.machine(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
