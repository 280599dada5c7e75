"""Printing lines, tables, JSON, warnings and progress."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

import msgspec

from webhook.errors import InjectorError, one_line


class OutputFailed(InjectorError):
    """Standard output cannot be written, because its disk is full, for example."""


def print_line(text: str) -> None:
    """Print a line on standard output. Raises OutputFailed, or BrokenPipeError if the reader has closed the pipe."""
    print_raw(f"{text}\n")


def print_at_once(text: str) -> None:
    """Print a line without buffering, because the command keeps running and a reader of its pipe waits for the line."""
    print_line(text)
    flush()


def print_raw(text: str) -> None:
    """Print text without adding a newline. Raises as `print_line` does."""
    with _writing():
        print(text, end="")  # noqa: T201 - the output of commands


def flush() -> None:
    """Write what is still buffered. Raises as `print_line` does."""
    with _writing():
        print(end="", flush=True)  # noqa: T201


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise OutputFailed(f"cannot write to standard output: {error.strerror}") from error


def discard_output() -> None:
    """Redirect standard output to /dev/null: the interpreter flushes it at exit, and an error would be status 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: InjectorError) -> None:
    """Print the error that ended the command on standard error, as one line."""
    print(f"model-injector: {one_line(str(error))}", file=sys.stderr)  # noqa: T201


def print_warnings(warnings: Iterable[str]) -> None:
    """Print warnings on standard error."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201


def print_notes(notes: Iterable[str]) -> None:
    """Print lines for people on standard error, beside output for programs."""
    for note in notes:
        print(one_line(note), file=sys.stderr)  # noqa: T201


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if standard error is a terminal. Yields a thread-safe function that adds bytes."""
    from tqdm import tqdm  # noqa: PLC0415 - slow, and other commands do not need it

    lock = Lock()
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, unit_divisor=1024, disable=None) as bar:

        def advance(count: int) -> None:
            with lock:
                bar.update(count)

        yield advance


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print_line(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, as kubectl does."""
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        print_line("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def add_output(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the option `-o`, with more formats than a table and JSON if the command has them."""
    parser.add_argument("-o", "--output", choices=("table", "json", *more), default="table", help="default: table")


def in_units(size: int | None) -> str:
    """A number of bytes for people, such as `1.5 GiB`; `-` for None."""
    if size is None:
        return "-"
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):  # noqa: B007 - the unit at which the loop ends is used
        if amount < 1024:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
