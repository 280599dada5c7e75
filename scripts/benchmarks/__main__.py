"""Measures the figures of docs/performance.md: each subcommand one area, and `figures` all figures that have a bound.

Both sides of a comparison run in turn. Values are medians of the rounds, and a ratio is the median of the ratios of the
rounds. The exit status is 1 if a figure misses its bound, or one that has a bound could not be measured; and 2 if the
measurement failed.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks import admission, cluster, fetch, figures, files, images, node_cache, page, plot, preview, report, start
from benchmarks.report import Figure, groups, table
from output_file import writable
from tests.support.programs import MissingProgram

ROOT: Final = Path(__file__).parents[2]
Option = tuple[str, Any, str]
ROUNDS: Final = ("--rounds", 5, "how often each side runs")
MIB: Final = ("--mib", 2048, "the size of the model")
SECONDS: Final = ("--seconds", 2.0, "how long each run under load takes")
AREAS: Final[dict[str, tuple[Callable[..., Iterator[Figure]], str, tuple[Option, ...]]]] = {
    "admission": (admission.measure, "/mutate by catalog, pod and strategy", (ROUNDS, SECONDS)),
    "preview": (preview.measure, "previews, and /mutate beside them", (ROUNDS, SECONDS)),
    "start": (start.measure, "start-up and memory of the webhook", (ROUNDS, SECONDS)),
    "cluster": (
        cluster.measure,
        "what webhooks cost at an API server",
        (
            ("--rounds", 500, "creations of each kind of pod"),
            ("--account", "default/default", "KUBECONFIG: the NAMESPACE/ACCOUNT of the pods"),
            ("--role-account", "", "KUBECONFIG: one whose pods pod-identity-webhook changes"),
        ),
    ),
    "fetch": (
        fetch.measure,
        "downloads by the init container, s5cmd, and other clients",
        (ROUNDS, MIB, ("--files", 2000, "the number of files of the model with many small ones")),
    ),
    "files": (
        files.measure,
        "the init container with very many small files",
        (("--files", 100_000, "the number of files"),),
    ),
    "figures": (figures.measure, "every figure that has a bound", (ROUNDS, MIB)),
    "images": (images.measure, "pushes of images to a registry", (ROUNDS, MIB)),
    "node-cache": (
        node_cache.measure,
        "the node cache beside the init container",
        (
            ("--rounds", 3, "how often each side runs"),
            MIB,
            ("--bandwidth", "119M", "how much S3 sends each second; 119M is 1 Gbit/s"),
        ),
    ),
}
"""By subcommand: the function that measures, the help, and the options, which are the function's arguments."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # raises, so that servers are stopped, too
    try:
        return _main()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (MissingProgram, RuntimeError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 2


def _main() -> int:
    parser = _parser()
    options = vars(parser.parse_args())
    for name, value in options.items():
        if isinstance(value, int | float) and not value > 0:
            parser.error(f"--{name.replace('_', '-')} has to be more than 0")
    if options["area"] == "page":
        page.write(ROOT)
        return 0
    area, json_file, plots = options.pop("area"), options.pop("json"), options.pop("plot", None)
    measured = []
    with tempfile.TemporaryDirectory(prefix="model-injector-bench-") as folder:
        for figure in AREAS[area][0](Path(folder), **options):
            measured.append(figure)
            print(f"{figure.group}: {figure.name}", file=sys.stderr)
    words = (f"--{name.replace('_', '-')} {value}" for name, value in options.items() if value != "")
    command = " ".join(["scripts/bench", area, *words])
    for group, members in groups(measured).items():
        print(f"\n{group}\n\n{table(members)}", end="")
    if json_file:
        json_file.write_text(report.encode(command, measured))
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        (plots / f"{area}.svg").write_text(plot.svg(measured))
    return 0 if all(figure.is_met for figure in measured if figure.bound) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    areas = parser.add_subparsers(dest="area", required=True)
    for area, (_, summary, options) in AREAS.items():
        command = areas.add_parser(area, help=summary, description=summary)
        for name, default, text in options:
            command.add_argument(name, type=type(default), default=default, help=f"{text} ({default})")
        command.add_argument("--json", type=writable, metavar="FILE", help="also write the figures to this file")
        if area != "figures":
            command.add_argument("--plot", type=Path, metavar="FOLDER", help="also write a plot to this folder")
    summary = "write the tables and plots of docs/performance.md from docs/performance/*.json"
    areas.add_parser("page", help=summary, description=summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())
