"""Applies edits to a text, and renders them as a unified diff."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from webhook.preview.edits import Edit

_CONTEXT: Final = 3


def edited(lines: Sequence[str], changes: Sequence[Edit], ending: str) -> Iterator[str]:
    """The lines of a text after edits. `lines` have their line endings; added lines get `ending`."""
    position = 0
    for change in changes:
        yield from lines[position : change.start]
        yield from (line + ending for line in change.lines)
        position = change.end
    yield from lines[position:]


def unified(lines: Sequence[str], changes: Sequence[Edit], first: int) -> Iterator[str]:
    """The hunks of a unified diff. `first` is the number of `lines[0]` in its file."""
    offset = 0
    for group in _groups(changes):
        start = max(group[0].start - _CONTEXT, 0)
        end = min(group[-1].end + _CONTEXT, len(lines))
        growth = sum(len(change.lines) - (change.end - change.start) for change in group)
        before = _range(first + start, end - start)
        after = _range(first + start + offset, end - start + growth)
        yield f"@@ -{before} +{after} @@\n"
        position = start
        for change in group:
            yield from _marked(" ", lines[position : change.start])
            yield from _marked("-", lines[change.start : change.end])
            yield from _marked("+", change.lines)
            position = change.end
        yield from _marked(" ", lines[position:end])
        offset += growth


def _groups(changes: Sequence[Edit]) -> list[list[Edit]]:
    """Group edits whose context lines touch or overlap, because they share a hunk."""
    groups = [list(changes[:1])] if changes else []
    for former, latter in pairwise(changes):
        if latter.start - former.end > 2 * _CONTEXT:
            groups.append([])
        groups[-1].append(latter)
    return groups


def _range(start: int, length: int) -> str:
    return str(start) if length == 1 else f"{start},{length}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    return (f"{mark}{line.rstrip(chr(13) + chr(10))}\n" for line in lines)
