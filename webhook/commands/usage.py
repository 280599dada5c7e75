"""`model-injector usage`: who runs which version of which model, and which versions nobody uses."""

import argparse
import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from webhook.annotations.model_name import model_name
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.listing import read_withdrawn
from webhook.catalog.resolution import VersionKey
from webhook.commands.lookup import store_of
from webhook.commands.options import Commands, add_config, add_context, add_namespace
from webhook.commands.output import add_output, in_units, print_json, print_raw, print_table, print_warnings
from webhook.commands.unused import Unused, unused
from webhook.errors import InvalidInput, one_line, shown
from webhook.fields.parsers import EXACT_VERSION
from webhook.kubernetes.client import KubernetesClient
from webhook.settings import Settings
from webhook.settings.loading import load
from webhook.usage.reading import read_usage
from webhook.usage.rows import UsageRow, rows

_MOST_WARNINGS: Final = 10
_THREADS: Final = 8
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell starts that a spreadsheet program calculates."""
_USES: Final = ("model", "version", "strategy", "namespace", "workload", "pods", "since", "state", "withdrawn")
_UNUSED: Final = ("model", "version", "source", "state", "bytes", "created", "aliases", "uri")


class _Wanted(NamedTuple):
    """Which versions are printed. Empty: all."""

    model: str
    version: str

    def has(self, model: str, version: str) -> bool:
        return self.model in ("", model) and self.version in ("", version)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "usage",
        help="list who uses which versions",
        description="List which workloads run, pin or can roll back to which versions of which models, or, with "
        "--unused, which published versions nothing uses.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_output(parser, "csv")
    add_context(parser)
    add_namespace(parser, default=None, text="read only this namespace; default: all")
    parser.add_argument(
        "model", nargs="?", default="", metavar="MODEL[@VERSION]", help="list only this model, or an exact version"
    )
    parser.add_argument("--unused", action="store_true", help="list the versions of the catalog that nothing uses")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    wanted, settings = _wanted(options.model), load(options.config)
    if options.unused and options.namespace:
        raise InvalidInput("--unused needs the usage of all namespaces; leave out --namespace")
    if options.unused and settings.catalog.mode == "none":
        raise InvalidInput("--unused needs a catalog; set catalog.mode to s3")
    usage = read_usage(KubernetesClient(options.context), settings, options.namespace or "")
    _warn(problem.text for problem in usage.problems)
    if options.unused:
        floating = (each for each in usage.floating if wanted.has(each.model, wanted.version))
        _warn(
            f"{each.workload.kind} {each.workload.namespace}/{each.workload.name} asks for {each.model} {each.asked} "
            "and is not pinned: each new pod resolves that anew"
            for each in floating
        )
        _print_unused(options.output, list(unused(settings, usage, wanted.has)))
    else:
        found = rows(usage, _withdrawn(settings))
        _print_uses(options.output, [row for row in found if wanted.has(row.model, row.version)])


def _withdrawn(settings: Settings) -> dict[VersionKey, str]:
    """Why versions are withdrawn. Sources that cannot be read are left out, with a warning."""
    withdrawn = dict[VersionKey, str]()
    for source in settings.all_sources if settings.catalog.mode == "s3" else ():
        try:
            with closing(store_of(settings, source)) as store:
                reasons, problems = read_withdrawn(store, source)
        except CatalogError as error:
            reasons, problems = {}, [str(error)]
        withdrawn |= reasons
        _warn(f"it is unknown which versions of source {source} are withdrawn: {problem}" for problem in problems)
    return withdrawn


def _wanted(text: str) -> _Wanted:
    """Parse MODEL or MODEL@VERSION. Raises InvalidInput."""
    model, mark, version = text.partition("@")
    try:
        model = model_name(model) if text else ""
    except ValueError as error:
        raise InvalidInput(f"{shown(text)} is not a model; write MODEL, or MODEL@VERSION") from error
    if mark and not EXACT_VERSION.fullmatch(version):
        raise InvalidInput(
            f"{shown(version)} is not an exact version; `model-injector catalog resolve` prints the one that it means"
        )
    return _Wanted(model, version)


def _warn(problems: Iterable[str]) -> None:
    remaining = iter(problems)
    print_warnings(map(one_line, islice(remaining, _MOST_WARNINGS)))
    if more := sum(1 for _ in remaining):
        print_warnings([f"and {more} more of this kind"])


def _print_uses(output: str, found: list[UsageRow]) -> None:
    if output == "json":
        print_json(found)
        return
    lines = [
        (
            *(row.model, row.version, row.strategy, row.namespace, f"{row.kind}/{row.workload}", str(len(row.pods))),
            *(_time(row.since, output), row.state, row.withdrawn or ""),
        )
        for row in found
    ]
    has_withdrawn = any(row.withdrawn for row in found)
    _print(output, _USES, lines, hidden=() if has_withdrawn else ("withdrawn",))


def _print_unused(output: str, found: list[Unused]) -> None:
    if output == "json":
        print_json(found)
        return
    lines = [
        (
            *(each.model, each.version, each.source, each.state),
            in_units(each.bytes) if output == "table" else "" if each.bytes is None else str(each.bytes),
            *(_time(each.created, output), ", ".join(each.aliases), each.uri),
        )
        for each in found
    ]
    _print(output, _UNUSED, lines, hidden=("uri",))


def _time(time: datetime | None, output: str) -> str:
    if time is None:
        return ""
    return f"{time:%Y-%m-%d %H:%M}" if output == "table" else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _print(output: str, names: Sequence[str], lines: Sequence[Sequence[str]], hidden: Sequence[str]) -> None:
    """Print CSV as RFC 4180 defines it, with all columns, or a table without the hidden ones."""
    if output == "csv":
        text = io.StringIO()
        csv.writer(text).writerows([names, *([_cell(value) for value in line] for line in lines)])
        print_raw(text.getvalue())
        return
    shown_columns = [index for index, name in enumerate(names) if name not in hidden]
    heads = ["SIZE" if names[index] == "bytes" else names[index].upper() for index in shown_columns]
    print_table(heads, [[one_line(line[index]) or "-" for index in shown_columns] for line in lines])


def _cell(text: str) -> str:
    """A cell's text. A reason, which somebody has written, cannot become a formula of a spreadsheet program."""
    return f"'{text}" if text.startswith(_FORMULAS) else text
