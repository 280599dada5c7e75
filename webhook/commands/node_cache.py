"""`model-injector node-cache`: the CSI driver that has versions once on a node, for all pods that mount them."""

import argparse
import os
import socket

from webhook.commands.options import Commands, add_config
from webhook.errors import InvalidInput
from webhook.settings.loading import load


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "node-cache",
        help="run the CSI driver of the strategy node-cache on this node",
        description="Run the CSI driver csi.model-injector.io, which mounts models from the cache of the node. It "
        "needs the right to mount file systems, and the folders of kubelet and of the cache.",
        allow_abbrev=False,
    )
    add_config(parser)
    parser.add_argument(
        "--worker-user",
        type=int,
        metavar="UID",
        help="the user who downloads, and who owns the cache (default: that of the driver)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Serve kubelet until told to stop."""
    settings = load(options.config)
    from webhook.http import log  # noqa: PLC0415 - slow, and other commands do not need it
    from webhook.node_cache.run import run  # noqa: PLC0415

    log.configure()
    try:
        return run(settings, os.environ.get("NODE_NAME") or socket.gethostname(), options.worker_user)
    except OSError as error:
        raise InvalidInput(f"the driver cannot start: {error}") from error
