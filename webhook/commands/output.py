"""What commands print: lines, tables for people, JSON for programs."""

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


def say(text: str) -> None:
    """A line on standard output. Raises OutputFailed, and BrokenPipeError where the reader has gone."""
    say_raw(f"{text}\n")


def say_at_once(text: str) -> None:
    """A line of a command that goes on running: a program that reads it from a pipe waits for it."""
    say(text)
    flush()


def say_raw(text: str) -> None:
    """Text as it is. Raises as `say` does."""
    with _writing():
        print(text, end="")  # noqa: T201 - a command talks to who runs it


def flush() -> None:
    """Write what is still buffered. Raises as `say` does."""
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
    """Point standard output at nothing: the interpreter flushes it at its end, and would exit with status 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain_of(error: InjectorError) -> None:
    """What ended the command, as one line on standard error."""
    print(f"model-injector: {one_line(str(error))}", file=sys.stderr)  # noqa: T201


def complain(warnings: Iterable[str]) -> None:
    """Warnings, on standard error."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal; gives what is told of bytes, from any thread."""
    from tqdm import tqdm  # noqa: PLC0415 - what other commands need not wait for

    lock = Lock()
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, unit_divisor=1024, disable=None) as bar:

        def told(done: int) -> None:
            with lock:
                bar.update(done)

        yield told


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
