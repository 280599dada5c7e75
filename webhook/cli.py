"""The command `model-injector`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from webhook import __version__
from webhook.configuration import load
from webhook.errors import InvalidSettings
from webhook.settings import Server

_FLAGS = {"host": str, "port": int, "ops_port": int, "tls_cert": Path, "tls_key": Path}
"""Options of `serve` that stand for a setting of the group `server`, by its field's name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except InvalidSettings as error:
        print(f"model-injector: {error}", file=sys.stderr)  # noqa: T201 - a command talks to who runs it
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="model-injector", description="Puts model files into annotated pods.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the webhook", description="Run the webhook.", allow_abbrev=False)
    serve.add_argument("--config", type=Path, metavar="FILE", help="settings, as YAML")
    for name, kind in _FLAGS.items():
        described = (Server.model_fields[name].description or "").split(". ")[0]
        serve.add_argument(f"--{name.replace('_', '-')}", type=kind, help=described.rstrip("."))
    return parser


def _serve(options: argparse.Namespace) -> None:
    given = {name: getattr(options, name) for name in _FLAGS if getattr(options, name) is not None}
    settings = load(options.config, given)
    from webhook.server import log, serve  # noqa: PLC0415 - half a second that a wrong setting need not wait for

    log.configure()
    serve(settings)
