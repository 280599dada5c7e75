"""The text of `fetch.sh` as pods carry it: without comments and indentation, and with the errors of errors.toml."""

import shlex
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

__all__ = ["KNOWN_ERRORS", "MARK", "SCRIPT", "SOURCE", "KnownError", "render", "strip"]

MARK: Final = "model-fetch"
"""The script's $0, in the init containers of every version of model-injector."""

_PLACE: Final = "# script.py puts an arm for each entry of errors.toml here.\n"
_NOTE: Final = "# fetch.sh of model-injector: see docs/fetch.md\n"


class KnownError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an error of s5cmd means. errors.toml describes the fields."""

    patterns: tuple[Annotated[str, Meta(min_length=1)], ...]
    reason: Annotated[str, Meta(pattern=r"\A[A-Za-z]+\Z")]
    retried: bool | Literal["unless static"]
    examples: Annotated[tuple[str, ...], Meta(min_length=1)]
    advice: Annotated[str, Meta(pattern=r"\A[\w .,:-]*\Z")] = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    errors: tuple[KnownError, ...]


def render(source: str, errors: tuple[KnownError, ...]) -> str:
    """Put the arms for `errors` into `source`, in order. Raises ValueError where it has no place for them."""
    before, place, after = source.partition(_PLACE)
    if not place:
        raise ValueError(f"fetch.sh has no line {_PLACE!r}")
    return before + "".join(_arm(error) for error in errors if error.patterns) + after


def _arm(error: KnownError) -> str:
    """The arm of a shell's `case`, without the assignments that `classify` makes before it."""
    patterns = "|".join(f"*{shlex.quote(pattern)}*" for pattern in error.patterns)
    if error.retried is False:
        return f"{patterns}) fatal {error.reason} {shlex.quote(error.advice)};;\n"
    assignments = (
        f"reason={error.reason}" if error.reason != "Unreachable" else "",
        f"advice={shlex.quote(error.advice)}" if error.advice else "",
        # kubelet does not renew credentials in the environment of a container that runs.
        "final=$AWS_SESSION_TOKEN" if error.retried == "unless static" else "",
    )
    return f"{patterns}) {' '.join(filter(None, assignments))};;\n"


def strip(source: str) -> str:
    """Drop the lines that are comments or blank, and the indentation of the others.

    It does not parse shell: quoted text of several lines and here-documents in fetch.sh must not need such lines, nor
    their indentation.
    """
    lines = (line.lstrip() for line in source.split("\n"))
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


SOURCE: Final = files(__package__).joinpath("fetch.sh").read_text()
"""The script as it is written."""
KNOWN_ERRORS: Final = msgspec.toml.decode(files(__package__).joinpath("errors.toml").read_text(), type=_File).errors
"""In the order in which they are looked for. The one without patterns is every other error."""
SCRIPT: Final = _NOTE + strip(render(SOURCE, KNOWN_ERRORS))
"""The script as pods carry it."""
