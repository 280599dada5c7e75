"""The command `model-injector`."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from webhook import __version__
from webhook.commands import catalog, certs, iam_policy, preview, publish, pull, serve
from webhook.errors import InjectorError, InvalidInput, one_line
from webhook.settings.loading import InvalidSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 2 for bad input or a fault, 1 for what can't be done, or the command's."""
    options = _parser().parse_args(arguments)
    try:
        status: int | None = options.run(options)
        sys.stdout.flush()
    except InjectorError as error:
        print(f"model-injector: {one_line(str(error))}", file=sys.stderr)  # noqa: T201 - a command talks to who runs it
        return 2 if isinstance(error, InvalidSettings | InvalidInput) else 1
    except BrokenPipeError:  # nobody reads on, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001 - 1 is a refusal's
        traceback.print_exc()
        return 2
    return status or 0


def _parser() -> argparse.ArgumentParser:
    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    parser = argparse.ArgumentParser(
        prog="kubectl model-injector" if is_plugin else "model-injector",
        description="Puts model files into annotated pods.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (serve, preview, publish, catalog, pull, iam_policy, certs):
        command.add(commands)
    return parser
