"""Options that several commands have."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from webhook.model.source import DEFAULT_SOURCE

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it
else:
    Commands: TypeAlias = argparse.Action


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option `--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, or the chart's values, as YAML")


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the option `--source`."""
    parser.add_argument("--source", default=DEFAULT_SOURCE, help="a configured source; default: default")
