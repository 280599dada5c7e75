"""The memory of processes by time, and its slope."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.M)
_WARM_UP_SECONDS = 30
"""The first seconds of a process, in which it imports modules and fills caches. They do not count for a slope."""
_LEAST_SECONDS = 60
"""The least time over which a slope is told: below it, single allocations outweigh any leak."""


@dataclass
class Series:
    """The memory of one process: seconds since the start of the soak, and MiB of proportional set size (PSS)."""

    name: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def slope(self) -> float | None:
        """MiB an hour, by least squares, after the first 30 s. None for a process that was observed too shortly."""
        if not self.samples:
            return None
        begun = self.samples[0][0] + _WARM_UP_SECONDS
        steady = [sample for sample in self.samples if sample[0] >= begun]
        if len(steady) < 2 or steady[-1][0] - steady[0][0] < _LEAST_SECONDS:
            return None
        return least_squares(steady) * 3600


def pss(pid: int) -> float | None:
    """The proportional set size of a process in MiB. None if it has ended."""
    try:
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def least_squares(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line that fits the points best."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
