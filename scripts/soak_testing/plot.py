"""The plot of a soak as SVG: requests a second, and the memory of each process, over the disturbances."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT = 960, 60, 20
_HEIGHT, _GAP, _TOP = 170, 50, 96
_COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e", "#6e7781")
_STYLE = (
    "text{font:12px sans-serif;fill:#57606a}.title{font-weight:600}.band{fill:#57606a;opacity:.08}"
    ".axis{stroke:#8c959f;stroke-width:1}.grid{stroke:#8c959f;stroke-width:1;opacity:.25}"
    ".rotation{stroke:#cf222e;stroke-width:1;stroke-dasharray:3 3}"
)
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Chart:
    """One chart. `top` is its upper edge; `seconds` and `most` are the ends of its axes."""

    top: float
    seconds: float
    most: float

    def x(self, value: float) -> float:
        return _LEFT + value / self.seconds * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.top + _HEIGHT - min(value / self.most, 1) * _HEIGHT

    def axes(self, title: str) -> Iterator[str]:
        yield f'<text class="title" x="{_LEFT}" y="{self.top - 8}">{escape(title)}</text>'
        for tick in _ticks(self.most):
            y = self.y(tick)
            yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        bottom = self.top + _HEIGHT
        yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        for tick in _ticks(self.seconds):
            yield f'<text x="{self.x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g} s</text>'

    def line(self, points: Points, colour: str) -> str:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def plot(result: Mapping[str, Any]) -> str:
    """The SVG of a result, which is that of `scripts/soak --json`."""
    seconds = result["seconds"]
    rate: Points = list(enumerate(result["requestsPerSecond"]))
    memory: list[tuple[str, Points]] = [(each["process"], each["samples"]) for each in result["memory"]]
    upper = _Chart(_TOP, seconds, _end(y for _, y in rate))
    lower = _Chart(_TOP + _HEIGHT + _GAP, seconds, _end(y for _, points in memory for _, y in points))
    height = lower.top + _HEIGHT + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#ffffff"/>',
        *_bands(result["disturbances"], upper, lower),
        *_rotations(result["authorities"], upper, lower),
        *upper.axes("answers a second"),
        upper.line(rate, _COLOURS[0]),
        *lower.axes("resident memory of each process, MiB"),
        *(lower.line(points, _COLOURS[index % len(_COLOURS)]) for index, (_, points) in enumerate(memory)),
        *_legend(memory, lower),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bands(disturbances: Sequence[Mapping[str, Any]], upper: _Chart, lower: _Chart) -> Iterator[str]:
    """The time of each disturbance: every second one is shaded, and all have their name."""
    for index, each in enumerate(disturbances):
        begin, end = upper.x(each["begun"]), upper.x(each["ended"])
        height = lower.top + _HEIGHT - _TOP
        if index % 2:
            yield f'<rect class="band" x="{begin:.1f}" y="{_TOP}" width="{end - begin:.1f}" height="{height}"/>'
        x, y = (begin + end) / 2, _TOP - 28
        yield f'<text x="{x:.1f}" y="{y}" transform="rotate(-35 {x:.1f} {y})">{escape(each["name"])}</text>'


def _rotations(authorities: Sequence[float], upper: _Chart, lower: _Chart) -> Iterator[str]:
    for at in authorities:
        x = upper.x(at)
        yield f'<line class="rotation" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{lower.top + _HEIGHT}"/>'


def _legend(memory: Sequence[tuple[str, Points]], chart: _Chart) -> Iterator[str]:
    y = chart.top + _HEIGHT + 38
    for index, (name, _) in enumerate(memory):
        colour = _COLOURS[index % len(_COLOURS)]
        yield f'<text x="{_LEFT + index * 50}" y="{y}" style="fill:{colour};font-weight:600">{escape(name)}</text>'
    yield f'<text x="{_WIDTH - _RIGHT}" y="{y}" text-anchor="end">dashed red: a new caBundle</text>'


def _end(values: Iterator[float]) -> float:
    """The end of an axis: a tenth above the highest value."""
    return max(values, default=1) * 1.1 or 1


def _ticks(most: float) -> list[float]:
    """Round values between 0 and `most`, about five."""
    step = next(unit * 10**power for power in range(6) for unit in (1, 2, 5) if most / (unit * 10**power) <= 6)
    return [step * index for index in range(int(most / step) + 1)]
