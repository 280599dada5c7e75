"""Converts a JSON Patch into line edits of a document's YAML, so that all other lines keep their comments and quotes.

The webhook's patches only add values, so an edit inserts lines. There are two exceptions: a collection in flow style
(`{a: 1}`) that a patch adds to is rewritten in block style, and an alias whose value is no longer its anchor's after
the patch is written out.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import jsonpatch
import msgspec
import yaml

from webhook.kubernetes.patch import Operation
from webhook.preview.dump import dump
from webhook.preview.nodes import JSON, Alias, compose, is_merge, key, merged, value_of
from webhook.preview.scalars import scalar

_STEP: Final = 2


class Edit(NamedTuple):
    """Replaces the lines from `start` to before `end`, counted from 0, with `lines`."""

    start: int
    end: int
    lines: tuple[str, ...]


def edits(text: str, patch: Sequence[Operation]) -> list[Edit] | None:
    """The edits that apply a patch to a document's text, in line order. None if the whole text has to be rewritten."""
    root = compose(text)
    if root is None:
        return None
    document = _Document(text, root)
    operations = msgspec.json.decode(msgspec.json.encode(patch))  # a copy: operations change the values of earlier ones
    value = jsonpatch.apply_patch(document.build(root), operations, in_place=True)
    changes = document.changes(value)
    return None if changes is None else sorted(changes, key=lambda edit: edit[:2])


class _Document:
    """The lines of a document, and the YAML node of each mapping and list that `build` has made."""

    def __init__(self, text: str, root: yaml.Node) -> None:
        self._lines = [*text.splitlines(), ""]
        self._nodes = dict[int, yaml.Node]()
        self._values = dict[int, JSON]()
        """The value of each mapping and list that `build` has made, by the id of its node."""
        self._indented = _is_indented(root)

    def build(self, node: yaml.Node) -> JSON:
        """The value of a node. After a patch has changed it in place, `changes` returns the edits."""
        if isinstance(node, yaml.ScalarNode):
            return scalar(node)
        value: JSON
        if isinstance(node, Alias):
            value = value_of(node)
        elif isinstance(node, yaml.MappingNode):
            own = {id(name): (key(name), self.build(child)) for name, child in node.value if not is_merge(name)}
            value = {}
            for name, child in node.value:
                value.update(merged(name, child) if is_merge(name) else [own[id(name)]])
        else:
            value = [self.build(child) for child in node.value]
        if isinstance(value, dict | list):
            self._nodes[id(value)] = node
            self._values[id(node)] = value
        return value

    def changes(self, value: JSON) -> list[Edit] | None:
        """The edits for the additions to a mapping or list from `build`. None if it has to be rewritten."""
        node = self._nodes[id(value)]
        if isinstance(node, Alias):
            return [] if self._after(node) == value else None
        changes = self._of_mapping(node, value) if isinstance(node, yaml.MappingNode) else self._of_list(node, value)
        return None if changes and getattr(node, "flow_style", False) else changes

    def _of_mapping(self, node: yaml.MappingNode, value: dict[str, JSON]) -> list[Edit] | None:
        changes, own, inherited = list[Edit](), dict[str, tuple[yaml.Node, yaml.Node]](), dict[str, JSON]()
        for name, child in node.value:
            if is_merge(name):
                inherited.update(merged(name, child, self._after))
            else:
                inherited.pop(key(name), None)
                own[key(name)] = (name, child)
        new = dict[str, JSON]()
        for name, child in value.items():
            if name in inherited:
                if inherited[name] != child:
                    new[name] = child
            elif name in own:
                changes += self._of_entry(*own[name], child)
            else:
                new[name] = child
        if new:
            end = _end(node)
            changes.append(Edit(end, end, tuple(self._written(new, _column(node.value[0][0]) if node.value else 0))))
        return changes

    def _of_entry(self, name: yaml.Node, node: yaml.Node, value: JSON) -> list[Edit]:
        if self._is_same(node, value) and (changes := self._of_same(node, value)) is not None:
            return changes
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
        if line == self._lines[start.line].rstrip():  # the value was empty, as in `volumes:`
            return [Edit(start.line + 1, start.line + 1, tuple(rest))]
        return [Edit(start.line, end.line + 1, (line, *rest))]

    def _of_list(self, node: yaml.Node, value: list[JSON]) -> list[Edit] | None:
        changes, index = list[Edit](), 0
        for child in value:
            if index < len(node.value) and self._is_same(node.value[index], child):
                changes += self._of_item(node.value[index], child)
                index += 1
            elif (line := self._line_before(node, index)) is not None:
                changes.append(Edit(line, line, tuple(self._written([child], self._dash(node).column))))
            else:
                return None
        return changes if index == len(node.value) else None

    def _of_item(self, node: yaml.Node, value: JSON) -> list[Edit]:
        if (changes := self._of_same(node, value)) is not None:
            return changes
        start, end = node.start_mark, node.end_mark
        first, *lines = self._written(value, start.column)
        before, after = self._lines[start.line][: start.column], self._lines[end.line][end.column :]
        return [Edit(start.line, end.line + 1, (before + first.lstrip() + after.rstrip(), *lines))]

    def _is_same(self, node: yaml.Node, value: JSON) -> bool:
        """Whether a value was built from a node. A patch may have added to it since."""
        if isinstance(target := _target(node), yaml.ScalarNode):
            return not isinstance(value, dict | list) and bool(scalar(target) == value)
        return self._nodes.get(id(value)) is node

    def _of_same(self, node: yaml.Node, value: JSON) -> list[Edit] | None:
        return [] if isinstance(_target(node), yaml.ScalarNode) else self.changes(value)

    def _after(self, node: yaml.Node) -> JSON:
        """The value that a node will have after the patch, for aliases of it."""
        target = _target(node)
        return self._values[id(target)] if id(target) in self._values else value_of(target)

    def _line_before(self, node: yaml.Node, index: int) -> int | None:
        """The line at which to insert an item at `index`, above the comments of the next item. None if not possible."""
        dash = self._dash(node)
        if not node.value or self._lines[dash.line][: dash.column].strip():
            return None  # the list starts in the middle of a line, as in `- - a`
        if index == len(node.value):
            return _end(node)
        line = node.value[index].start_mark.line if index else dash.line
        first = _end(node.value[index - 1]) if index else 0
        while line > first and not self._lines[line][: dash.column + 1].strip():
            line -= 1  # the dash may be alone on a line above its item
        while line > first and self._lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line

    def _dash(self, node: yaml.Node) -> "_Place":
        """The place of a list's first dash. The place of an anchored list is that of its anchor."""
        start = node.start_mark
        if self._lines[start.line][start.column : start.column + 1] != "&" or not node.value:
            return _Place(start.line, start.column)
        line = node.value[0].start_mark.line
        return _Place(line, len(self._lines[line]) - len(self._lines[line].lstrip()))

    def _written(self, value: JSON, column: int) -> list[str]:
        lines = dump(value, indented=self._indented).splitlines()
        return [" " * column + line if line else line for line in lines]


class _Place(NamedTuple):
    line: int
    column: int


def _target(node: yaml.Node) -> yaml.Node:
    """The node that an alias stands for; the node itself if it is no alias."""
    return node.value if isinstance(node, Alias) else node


def _column(node: yaml.Node) -> int:
    column: int = node.start_mark.column
    return column


def _end(node: yaml.Node) -> int:
    """The line after the last line of a node, comments after it excluded."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    mark = node.end_mark
    is_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    line: int = mark.line if is_block and mark.column == 0 else mark.line + 1
    return line


def _is_indented(node: yaml.Node) -> bool:
    """Whether the first list in a mapping is indented; False if there is none."""
    starts = ((name.start_mark, item.start_mark) for name, item in _lists(node))
    return next((item.column > name.column for name, item in starts if item.line > name.line), False)


def _lists(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        for name, child in node.value:
            if isinstance(child, yaml.SequenceNode) and not child.flow_style:
                yield name, child
            yield from _lists(child)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _lists(child)
