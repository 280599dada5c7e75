"""The program with other values of its constants: a test waits for a deadline of one second, not of ten.

Usage: python -m tests.support.constants MODULE.NAME=NUMBER … -- ARGUMENT …
"""

import importlib
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from webhook.cli import main

PATIENT: Final[Mapping[str, float]] = MappingProxyType({"webhook.catalog.live.LOOKUP_SECONDS": 30})
"""For a webhook whose S3 shares a busy machine with the other tests: a pod waits longer for it than a second."""


def program(values: Mapping[str, float]) -> tuple[str, ...]:
    """The command line that takes the place of `python -m webhook`. Values by module and name."""
    return (
        sys.executable,
        "-m",
        "tests.support.constants",
        *(f"{name}={value}" for name, value in values.items()),
        "--",
    )


def _set(assignment: str) -> None:
    path, _, value = assignment.partition("=")
    module, _, name = path.rpartition(".")
    changed = importlib.import_module(module)
    assert isinstance(getattr(changed, name), int | float), f"{path} is not a number of the program"
    setattr(changed, name, float(value))


if __name__ == "__main__":
    end = sys.argv.index("--")
    for each in sys.argv[1:end]:
        _set(each)
    sys.exit(main(sys.argv[end + 1 :]))
