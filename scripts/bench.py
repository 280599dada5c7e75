"""Measures the figures of docs/performance.md: each subcommand one area, and `figures` all figures that have a bound.

Both sides of a comparison run in turn. Values are medians of the rounds, and a ratio is the median of the ratios of the
rounds. The exit status is 1 if a figure misses its bound.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import bench_admission
import bench_plot
import bench_preview
import bench_report
import bench_start
from bench_report import Figure, groups, table

Option = tuple[str, Any, str]
ROUNDS: Final = ("--rounds", 5, "how often each side runs")
SECONDS: Final = ("--seconds", 2.0, "how long each run under load takes")
AREAS: Final[dict[str, tuple[Callable[..., Iterator[Figure]], str, tuple[Option, ...]]]] = {
    "admission": (bench_admission.measure, "/mutate by catalog, pod and strategy", (ROUNDS, SECONDS)),
    "preview": (bench_preview.measure, "previews, and /mutate beside them", (ROUNDS, SECONDS)),
    "start": (bench_start.measure, "start-up and memory of the webhook", (ROUNDS, SECONDS)),
}
"""By subcommand: the function that measures, the help, and the options, which are the function's arguments."""


def main() -> int:
    options = vars(_parser().parse_args())
    area, json_file, plots = options.pop("area"), options.pop("json"), options.pop("plot")
    figures = []
    with tempfile.TemporaryDirectory(prefix="model-injector-bench-") as folder:
        for figure in AREAS[area][0](Path(folder), **options):
            figures.append(figure)
            print(f"{figure.group}: {figure.name}", file=sys.stderr)
    command = " ".join(["scripts/bench", area, *(f"--{name} {value}" for name, value in options.items())])
    for group, members in groups(figures).items():
        print(f"\n{group}\n\n{table(members)}", end="")
    if json_file:
        json_file.write_text(bench_report.encode(command, figures))
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        (plots / f"{area}.svg").write_text(bench_plot.svg(figures))
    return 1 if any(figure.is_met is False for figure in figures) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    areas = parser.add_subparsers(dest="area", required=True)
    for area, (_, summary, options) in AREAS.items():
        command = areas.add_parser(area, help=summary, description=summary)
        for name, default, text in options:
            command.add_argument(name, type=type(default), default=default, help=f"{text} ({default})")
        command.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
        command.add_argument("--plot", type=Path, metavar="FOLDER", help="also write a plot to this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
