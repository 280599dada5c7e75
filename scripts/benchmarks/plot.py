"""Bars as SVG, for pages that are light or dark."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.report import Figure, groups, number

WIDTH: Final = 840
_LEFT, _RIGHT, _ROW, _HEAD, _GAP = 350, 140, 22, 30, 14
"""Pixels: the labels' column, the values' column, a bar's row, a panel's heading, the space below a panel."""
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600 }
.label { text-anchor: end }
.bar { fill: #8b949e }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bar { fill: #6e7681 }
  .ours { fill: #58a6ff }
}
"""


def svg(figures: Sequence[Figure]) -> str:
    """A panel of bars for each group and unit that has two figures or more. Bars of one panel have one scale.

    Bars of what the project is compared with are grey.
    """
    panels, top = [], 0
    for heading, panel in _panels(figures):
        panels.append(_panel(heading, panel, top))
        top += _HEAD + _ROW * len(panel) + _GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *panels, "</svg>"]) + "\n"


def _panels(figures: Sequence[Figure]) -> Iterator[tuple[str, list[Figure]]]:
    for group, members in groups(figures).items():
        units = dict.fromkeys(figure.unit for figure in members if figure.value is not None)
        for unit in units:
            panel = [figure for figure in members if figure.unit == unit and figure.value is not None]
            if len(panel) > 1:
                yield f"{group}, {unit}", panel


def _panel(heading: str, figures: Sequence[Figure], top: int) -> str:
    largest = max(figure.value or 0 for figure in figures) or 1
    lines = [f'<text class="head" x="0" y="{top + 18}">{escape(heading)}</text>']
    for index, figure in enumerate(figures):
        value = figure.value or 0
        y, width = top + _HEAD + _ROW * index, round((WIDTH - _LEFT - _RIGHT) * value / largest, 1)
        kind = "bar" if figure.is_other else "bar ours"
        lines += [
            f'<text class="label" x="{_LEFT - 8}" y="{y + 13}">{escape(figure.name)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{y + 1}" width="{width}" height="15" rx="2"/>',
            f'<text x="{_LEFT + width + 6:g}" y="{y + 13}">{number(value)} {escape(figure.unit)}</text>',
        ]
    return "\n".join(lines)
