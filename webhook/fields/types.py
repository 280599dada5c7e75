"""Types of settings: how the file and the environment spell a value, its parsed form, and its JSON schema."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from webhook.fields.parsers import ENV_PREFIX, env_prefix, folder, label
from webhook.kubernetes.quantities import DURATION_UNITS, parse_duration, parse_quantity


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) and not value.isdigit() else value


def _duration_or_none(value: object) -> object:
    return parse_duration(value, least=0) if isinstance(value, str) and not value.isdigit() else value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _quantity(value: str) -> str:
    parse_quantity(value)
    return value


def _folder(value: str) -> str:
    try:
        return folder(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not an absolute path such as /models") from error


def _source_name(value: str) -> str:
    try:
        return label(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a DNS label such as research, which an annotation could name") from error


def _env_prefix(value: str) -> str:
    try:
        return env_prefix(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not the first part of a variable's name such as MODEL, or none") from error


def _no_slashes_around(value: str) -> str:
    return value.strip("/")


def _patterns_by_last_unit() -> Iterator[str]:
    """Patterns of durations, one for each last unit. A single pattern of optional units would match empty text."""
    optional = ""
    for unit in DURATION_UNITS:
        yield rf"^{optional}\d+{unit}$"
        optional += rf"(\d+{unit})?"


Verification: TypeAlias = Literal["size", "sha256", "none"]
"""How a download is checked."""


def _duration_schema(least: int, digits: str) -> WithJsonSchema:
    text = {"type": "string", "pattern": "|".join((digits, *_patterns_by_last_unit()))}
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": least}, text]})


_DURATION: Final = _duration_schema(1, r"^[1-9]\d*$")
Seconds = Annotated[int, BeforeValidator(_duration), Field(gt=0, le=7 * 24 * 3600), _DURATION]
Lifetime = Annotated[int, BeforeValidator(_duration), Field(ge=3, le=20 * 365 * 24 * 3600), _DURATION]
Pause = Annotated[int, BeforeValidator(_duration_or_none), Field(ge=0, le=7 * 24 * 3600), _duration_schema(0, r"^\d+$")]
"""Seconds, or 0 for no pause."""
Quantity = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_quantity),
    WithJsonSchema({"type": ["string", "number"], "pattern": r"^[0-9.]+([a-zA-Z]+|[eE][+-]?\d+)?$"}),
]
AbsolutePath = Annotated[str, AfterValidator(_folder), WithJsonSchema({"type": "string", "pattern": "^/"})]
KeyPrefix = Annotated[
    str,
    AfterValidator(_no_slashes_around),
    Field(pattern=r"^/?([A-Za-z0-9!_'()=+@-][A-Za-z0-9!_.'()=+@-]*/?)*$", max_length=512),
]
EnvPrefix = Annotated[
    str, AfterValidator(_env_prefix), WithJsonSchema({"type": "string", "pattern": f"^{ENV_PREFIX}$"})
]
SourceName = Annotated[str, AfterValidator(_source_name), Field(pattern=r"^[A-Za-z0-9]")]
Globs = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(min_length=1, max_length=1000)]
