"""`model-injector serve`: the webhook."""

import argparse
from pathlib import Path
from typing import Final

from webhook.commands.options import Commands, add_config
from webhook.settings import ServerSettings
from webhook.settings.loading import load

_FLAGS: Final = {"host": str, "port": int, "ops_port": int, "tls_cert": Path, "tls_key": Path}
"""Options for settings of the group `server`, by the name of the field."""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("serve", help="run the webhook", description="Run the webhook.", allow_abbrev=False)
    add_config(parser)
    for name, kind in _FLAGS.items():
        described = (ServerSettings.model_fields[name].description or "").split(". ")[0]
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=described.rstrip("."))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until told to stop. Raises InvalidSettings."""
    given = {name: getattr(options, name) for name in _FLAGS if getattr(options, name) is not None}
    settings = load(options.config, given)
    from webhook.http import log  # noqa: PLC0415 - takes half a second; an invalid setting is reported sooner
    from webhook.server import serve  # noqa: PLC0415

    log.configure()
    serve(settings)
