"""The memory of processes by time, and its slope."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_RSS = re.compile(rb"^Rss:\s+(\d+) kB", re.M)
_LEAST_SECONDS = 60
"""The least time over which a slope is told: below it, single allocations outweigh any leak."""


@dataclass
class Series:
    """The memory of one process: seconds since the start of the soak, and MiB of resident memory."""

    name: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def slope(self) -> float | None:
        """MiB an hour, by least squares, over the second half of the time. None for a short time.

        In the first half, a process fills its caches, and meets each disturbance for the first time.
        """
        if not self.samples:
            return None
        middle = (self.samples[0][0] + self.samples[-1][0]) / 2
        steady = [sample for sample in self.samples if sample[0] >= middle]
        return least_squares(steady) * 3600 if steady[-1][0] - steady[0][0] >= _LEAST_SECONDS else None


def resident(pid: int) -> float | None:
    """The resident memory of a process in MiB. None if it has ended."""
    try:
        found = _RSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def least_squares(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line that fits the points best."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
