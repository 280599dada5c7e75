"""Kubernetes quantities (`500m`, `2Gi`) and durations (`30m`, `1d`)."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

_QUANTITY: Final = re.compile(
    r"(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)|[eE]([+-]?\d{1,2}))", re.ASCII
)
_SUFFIXES: Final = {
    "": Decimal(1),
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", 1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
DURATION_UNITS: Final = {"w": 7 * 24 * 3600, "d": 24 * 3600, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile("".join(rf"(?:(\d{{1,6}}){unit})?" for unit in DURATION_UNITS), re.ASCII)


@lru_cache(maxsize=1024)
def parse_quantity(text: str) -> Decimal:
    """The value of a quantity: 0.5 for `500m`, 2147483648 for `2Gi`.

    Raises ValueError for other text, and for negative quantities, which resources do not have.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 500m or 2Gi")
    number, suffix, exponent = match.groups()
    return Decimal(number) * (_SUFFIXES[suffix] if exponent is None else Decimal(10) ** int(exponent))


def format_bytes(value: Decimal) -> str:
    """A number of bytes as a quantity, rounded up: in Mi if it is a multiple of 1 MiB, else without a suffix."""
    whole = int(value.to_integral_value(rounding="ROUND_CEILING"))
    return f"{whole >> 20}Mi" if whole and whole % (1 << 20) == 0 else str(whole)


def parse_duration(text: str, least: int = 1) -> int:
    """A duration such as `1d`, `1h30m` or `90s`, in seconds. Raises ValueError for other text, and for less than
    `least`."""
    match = _DURATION.fullmatch(text) if text else None
    seconds = match and sum(
        int(part or 0) * unit for part, unit in zip(match.groups(), DURATION_UNITS.values(), strict=True)
    )
    if seconds is None or seconds < least:
        raise ValueError(f"{text!r} is not a duration such as 30m, 1h30m or 1d")
    return seconds


def format_cpu(value: Decimal) -> str:
    """A number of CPUs as a quantity: `2` or `1500m`."""
    return str(int(value)) if value == int(value) else f"{int(value * 1000)}m"
