"""A JSON Patch as edits of the YAML that a document was written in: lines are put in, and all others stay.

Patches only add, so nothing has to be written anew: no comment moves, no quote changes. What stands in flow style
(`{a: 1}`) and gets more is the exception: it becomes lines.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import jsonpatch
import msgspec
import yaml

from webhook.kubernetes.patch import Operation
from webhook.preview.dump import dump
from webhook.preview.scalars import Loader, key, scalar

JSON = Any
_STEP: Final = 2


class Edit(NamedTuple):
    """The lines from `start` up to `end`, counted from 0, give way to others."""

    start: int
    end: int
    lines: tuple[str, ...]


def edits(text: str, patch: Sequence[Operation]) -> list[Edit] | None:
    """The edits that a patch comes to, in their order; None where all of the text would have to be written anew."""
    root = yaml.compose(text, Loader)
    if root is None:
        return None
    document = _Document(text, root)
    operations = msgspec.json.decode(msgspec.json.encode(patch))  # of our own, for later ones may change earlier values
    value = jsonpatch.apply_patch(document.build(root), operations, in_place=True)
    found = document.changes(value)
    return None if found is None else sorted(found, key=lambda edit: edit[:2])


class _Document:
    """A text, and which of its nodes each mapping and list of its value was read from."""

    def __init__(self, text: str, root: yaml.Node) -> None:
        self._lines = text.splitlines()
        self._nodes = dict[int, yaml.Node]()
        self._indented = _is_indented(root)

    def build(self, node: yaml.Node) -> JSON:
        """The value of a node, which `changes` may be asked about after it has got more."""
        if isinstance(node, yaml.ScalarNode):
            return scalar(node)
        value: JSON
        if isinstance(node, yaml.MappingNode):
            value = {key(name, ()): self.build(child) for name, child in node.value}
        else:
            value = [self.build(child) for child in node.value]
        self._nodes[id(value)] = node
        return value

    def changes(self, value: JSON) -> list[Edit] | None:
        """The edits for what a mapping or list of the text has got; None where it has to be written anew."""
        node = self._nodes[id(value)]
        found = self._of_mapping(node, value) if isinstance(node, yaml.MappingNode) else self._of_list(node, value)
        return None if found and getattr(node, "flow_style", False) else found

    def _of_mapping(self, node: yaml.MappingNode, value: dict[str, JSON]) -> list[Edit] | None:
        found, former = list[Edit](), {key(name, ()): (name, child) for name, child in node.value}
        for name, child in value.items():
            if name in former:
                found += self._of_entry(*former[name], child)
        if new := {name: child for name, child in value.items() if name not in former}:
            end = _end(node)
            found.append(Edit(end, end, tuple(self._written(new, _column(node.value[0][0]) if node.value else 0))))
        return found

    def _of_entry(self, name: yaml.Node, node: yaml.Node, value: JSON) -> list[Edit]:
        if self._is_same(node, value) and (found := self._of_same(node, value)) is not None:
            return found
        start, end = node.start_mark, node.end_mark
        before, after = self._lines[start.line][: start.column].rstrip(), self._lines[end.line][end.column :].rstrip()
        if after and end.index > start.index:
            after = f" {after.lstrip()}"
        if isinstance(value, dict | list) and value:
            is_deeper = self._indented or isinstance(value, dict)
            first, rest = "", self._written(value, _column(name) + _STEP * is_deeper)
        else:
            first, *rest = self._written(value, _column(name))
            first = f" {first.lstrip()}"
        line = before + first + after
        if line == self._lines[start.line].rstrip():  # there was nothing: `volumes:`
            return [Edit(start.line + 1, start.line + 1, tuple(rest))]
        return [Edit(start.line, end.line + 1, (line, *rest))]

    def _of_list(self, node: yaml.Node, value: list[JSON]) -> list[Edit] | None:
        found, place = list[Edit](), 0
        for child in value:
            if place < len(node.value) and self._is_same(node.value[place], child):
                found += self._of_item(node.value[place], child)
                place += 1
            elif (line := self._line_before(node, place)) is not None:
                found.append(Edit(line, line, tuple(self._written([child], _column(node)))))
            else:
                return None
        return found if place == len(node.value) else None

    def _of_item(self, node: yaml.Node, value: JSON) -> list[Edit]:
        if (found := self._of_same(node, value)) is not None:
            return found
        start, end = node.start_mark, node.end_mark
        first, *lines = self._written(value, start.column)
        before, after = self._lines[start.line][: start.column], self._lines[end.line][end.column :]
        return [Edit(start.line, end.line + 1, (before + first.lstrip() + after.rstrip(), *lines))]

    def _is_same(self, node: yaml.Node, value: JSON) -> bool:
        """Whether a value is the one that was read from a node, be it that it has got more since."""
        if isinstance(node, yaml.ScalarNode):
            return not isinstance(value, dict | list) and bool(scalar(node) == value)
        return self._nodes.get(id(value)) is node

    def _of_same(self, node: yaml.Node, value: JSON) -> list[Edit] | None:
        return [] if isinstance(node, yaml.ScalarNode) else self.changes(value)

    def _line_before(self, node: yaml.Node, place: int) -> int | None:
        """Where a list goes on with something new before its item at `place`: above the comments on that."""
        if not node.value or self._lines[node.start_mark.line][: _column(node)].strip():
            return None  # it begins in the midst of a line, as in `- - a`
        if place == len(node.value):
            return _end(node)
        line = node.value[place].start_mark.line if place else node.start_mark.line
        first = _end(node.value[place - 1]) if place else 0
        while line > first and not self._lines[line][: _column(node) + 1].strip():
            line -= 1  # the dash may stand alone
        while line > first and self._lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line

    def _written(self, value: JSON, column: int) -> list[str]:
        lines = dump(value, indented=self._indented).splitlines()
        return [" " * column + line if line else line for line in lines]


def _column(node: yaml.Node) -> int:
    column: int = node.start_mark.column
    return column


def _end(node: yaml.Node) -> int:
    """The line after a node's last one; comments that follow do not count."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    mark = node.end_mark
    is_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    line: int = mark.line if is_block and mark.column == 0 else mark.line + 1
    return line


def _is_indented(node: yaml.Node) -> bool:
    """Whether its author indents lists in mappings, by the first one that there is."""
    return next((item.start_mark.column > name.start_mark.column for name, item in _lists(node)), False)


def _lists(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        for name, child in node.value:
            if isinstance(child, yaml.SequenceNode) and not child.flow_style:
                yield name, child
            yield from _lists(child)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _lists(child)
