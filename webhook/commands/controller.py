"""`model-injector controller`: load published versions, restart workloads that follow them, remove what is unused."""

import argparse

from webhook.commands.options import Commands, add_config
from webhook.settings.loading import load


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "controller",
        help="run the controller",
        description="Run the controller, which makes published versions ready in the cluster. Several may run: one of "
        "them is elected.",
        allow_abbrev=False,
    )
    add_config(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Control until told to stop. Raises InvalidSettings."""
    settings = load(options.config)
    from webhook.controller.run import control  # noqa: PLC0415 - slow, and other commands do not need it
    from webhook.http import log  # noqa: PLC0415

    log.configure()
    control(settings)
