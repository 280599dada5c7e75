"""Options that several commands have."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from webhook.errors import shown
from webhook.fields.parsers import label
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


def add_context(parser: argparse.ArgumentParser) -> None:
    """Add the option `--context`."""
    parser.add_argument("--context", help="the context of the kubeconfig; default: its current one")


def add_namespace(parser: argparse.ArgumentParser, *, default: str | None, text: str) -> None:
    """Add the option `--namespace`. `text` is its help."""
    parser.add_argument("-n", "--namespace", type=_namespace, default=default, help=text)


def _namespace(text: str) -> str:
    try:
        return label(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a DNS label, such as default") from error
