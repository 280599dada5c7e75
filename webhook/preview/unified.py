"""What edits make of a text: the text after them, and a unified diff."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from webhook.preview.edits import Edit

_CONTEXT: Final = 3


def edited(lines: Sequence[str], changes: Sequence[Edit], ending: str) -> Iterator[str]:
    """A text's lines, each with its ending, after edits."""
    place = 0
    for change in changes:
        yield from lines[place : change.start]
        yield from (line + ending for line in change.lines)
        place = change.end
    yield from lines[place:]


def unified(lines: Sequence[str], changes: Sequence[Edit], first: int) -> Iterator[str]:
    """The hunks of a unified diff: of lines, the first of which is `first` in its file, and their edits."""
    grown = 0
    for group in _groups(changes):
        start = max(group[0].start - _CONTEXT, 0)
        end = min(group[-1].end + _CONTEXT, len(lines))
        more = sum(len(each.lines) - (each.end - each.start) for each in group)
        before = _range(first + start, end - start)
        after = _range(first + start + grown, end - start + more)
        yield f"@@ -{before} +{after} @@\n"
        place = start
        for change in group:
            yield from _marked(" ", lines[place : change.start])
            yield from _marked("-", lines[change.start : change.end])
            yield from _marked("+", change.lines)
            place = change.end
        yield from _marked(" ", lines[place:end])
        grown += more


def _groups(changes: Sequence[Edit]) -> list[list[Edit]]:
    """Edits that are so near to each other that their hunks would touch."""
    groups = [list(changes[:1])] if changes else []
    for one, other in pairwise(changes):
        if other.start - one.end > 2 * _CONTEXT:
            groups.append([])
        groups[-1].append(other)
    return groups


def _range(start: int, length: int) -> str:
    return str(start) if length == 1 else f"{start},{length}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    return (f"{mark}{line.rstrip(chr(13) + chr(10))}\n" for line in lines)
