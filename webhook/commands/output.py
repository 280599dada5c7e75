"""What commands print: lines, tables for people, JSON for programs."""

import argparse
from collections.abc import Sequence

import msgspec


def say(text: str) -> None:
    """A line on standard output."""
    print(text)  # noqa: T201 - a command talks to who runs it


def say_json(value: object) -> None:
    """A value as JSON, indented."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, as kubectl prints them."""
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        say("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def add_output(parser: argparse.ArgumentParser) -> None:
    """The option `-o json`."""
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")


def in_units(size: int | None) -> str:
    """Bytes, as a person reads them."""
    if size is None:
        return "-"
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):  # noqa: B007 - the last one is the one to show
        if amount < 1024:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
