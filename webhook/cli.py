"""The command `model-injector`."""

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from webhook import __version__
from webhook.commands import (
    advise,
    cache,
    catalog,
    certs,
    cleanup,
    controller,
    iam_policy,
    image,
    manifests,
    node_cache,
    preview,
    publish,
    pull,
    serve,
    usage,
)
from webhook.commands.output import OutputFailed, discard_output, flush, print_error
from webhook.errors import InjectorError, InvalidInput
from webhook.settings.loading import InvalidSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 0, 1 if it failed, 2 for invalid input or an internal error, or its own."""
    try:
        return _run(arguments)
    except InjectorError as error:
        print_error(error)
        return 2 if isinstance(error, InvalidSettings | InvalidInput | OutputFailed) else 1
    except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
        discard_output()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001 - Python's own exit status, 1, would mean a refusal
        traceback.print_exc()
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command and return its exit status. Raises OutputFailed, also for buffered output."""
    try:
        options = parser().parse_args(arguments)  # may print --help, and exit
        status: int | None = options.run(options)
    finally:
        flush()
    return status or 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    program = argparse.ArgumentParser(
        prog="kubectl model-injector" if is_plugin else "model-injector",
        description="Puts model files into annotated pods.",
        allow_abbrev=False,
    )
    program.add_argument("--version", action="version", version=__version__)
    commands = program.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        serve,
        preview,
        publish,
        catalog,
        pull,
        image,
        manifests,
        node_cache,
        advise,
        controller,
        usage,
        cache,
        cleanup,
        iam_policy,
        certs,
    ):
        command.add(commands)
    return program
