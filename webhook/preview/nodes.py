"""Composes the YAML nodes of a manifest within limits, and gives their values as kubectl does.

Unlike in PyYAML, an alias is a node of its own, so that an edit of its line does not change the anchor. As in kubectl,
an anchor may be defined again, and a merge key overrides the keys before it. The limits hold for the expanded manifest:
a few lines of aliases can stand for gigabytes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from webhook.preview.errors import InvalidManifest
from webhook.preview.limits import LOCAL, Limits, check_depth
from webhook.preview.scalars import TAG, Loader, line, scalar, scalar_key

JSON = Any
"""A JSON value as Python objects."""
_Event: TypeAlias = Any
"""An event. The stubs of PyYAML give its marks another type than those of nodes."""
_MERGE: Final = "<<"


class Alias(yaml.Node):
    """An alias, `*name`. Its value is the node of the anchor."""

    id = "alias"

    def __init__(self, target: yaml.Node, event: _Event) -> None:
        super().__init__(target.tag, target, event.start_mark, event.end_mark)


def compose(text: str) -> yaml.Node | None:
    """The root node of a text with a single document; None for an empty text. Raises as `compose_all`."""
    return next(compose_all(text, LOCAL), None)


def compose_all(text: str, limits: Limits) -> Iterator[yaml.Node]:
    """The root node of each document. Raises yaml.YAMLError, InvalidManifest and ManifestTooLarge."""
    events = yaml.parse(text, Loader)
    composer = _Composer(events, limits)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            yield composer.document()


def value_of(node: yaml.Node) -> JSON:
    """The value of a node. Raises InvalidManifest, with the line, for a value that JSON cannot represent."""
    if isinstance(node, Alias):
        return value_of(node.value)
    if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
        mapping, own = dict[str, JSON](), set[str]()
        for name, value in node.value:
            if is_merge(name):
                mapping.update(merged(name, value))
            else:
                own.add(entry := key(name, own))
                mapping[entry] = value_of(value)
        return mapping
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
        return [value_of(child) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    raise InvalidManifest(
        f"line {line(node)}: JSON cannot represent {node.tag}; write text, a number, a boolean, a list or a mapping"
    )


def key(node: yaml.Node, taken: set[str] | frozenset[str] = frozenset()) -> str:
    """The key of a mapping as text. Raises InvalidManifest if it is not a scalar, or already in `taken`."""
    name = scalar_key(node.value if isinstance(node, Alias) else node)
    if name in taken:
        raise InvalidManifest(f"line {line(node)}: the key {name[:80]!r} is a duplicate; remove one")
    return name


def is_merge(name: yaml.Node) -> bool:
    """Whether a key is the merge key `<<`, without quotes."""
    return isinstance(name, yaml.ScalarNode) and name.tag == f"{TAG}merge" and name.value == _MERGE


def merged(name: yaml.Node, node: yaml.Node, evaluate: Callable[[yaml.Node], JSON] = value_of) -> dict[str, JSON]:
    """The entries that a merge key adds: those of a mapping, or of a list of mappings, of which the first is preferred.

    Raises InvalidManifest for other values, and for an alias of a list, which kubectl refuses, too.
    """
    mapping = dict[str, JSON]()
    for source in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(source.value if isinstance(source, Alias) else source, yaml.MappingNode):
            raise InvalidManifest(f"line {line(name)}: << takes a mapping or a list of mappings; write one")
        mapping.update(evaluate(source))
    return mapping


class _Extent(NamedTuple):
    """An anchor's node, and how much it stands for."""

    node: yaml.Node
    nodes: int
    size: int
    height: int
    """Levels of collections, itself included."""


_RESOLVERS: Final[Mapping[str, Sequence[tuple[str, re.Pattern[str]]]]] = Loader.yaml_implicit_resolvers


class _Composer:
    """Composes one document after the other from the same events. Runs for each node, so it makes few calls."""

    def __init__(self, events: Iterator[_Event], limits: Limits) -> None:
        self._events = events
        self._limits = limits
        self._anchors = dict[str, _Extent | None]()
        """The anchors of the document. None while their nodes are being composed."""
        self._nodes = self._size = 0
        """Of all documents."""

    def document(self) -> yaml.Node:
        """The root of the document whose start is the last event."""
        self._anchors.clear()
        return self._node(next(self._events), 1)[0]

    def _node(self, event: _Event, depth: int) -> tuple[yaml.Node, int]:
        """The node that begins with an event, and its height."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        anchor = event.anchor
        if anchor is None:
            return self._composed(event, depth)
        nodes, size = self._nodes, self._size
        self._anchors[anchor] = None
        node, height = self._composed(event, depth)
        if self._anchors[anchor] is None:
            self._anchors[anchor] = _Extent(node, self._nodes - nodes, self._size - size, height)
        return node, height

    def _composed(self, event: _Event, depth: int) -> tuple[yaml.Node, int]:
        if isinstance(event, yaml.ScalarEvent):
            self._count(1, len(event.value))
            return _scalar(event), 0
        self._count(1)
        return self._collection(event, depth)

    def _alias(self, event: _Event, depth: int) -> tuple[yaml.Node, int]:
        if event.anchor not in self._anchors:
            raise InvalidManifest(f"line {line(event)}: the document has no anchor &{event.anchor} before this alias")
        target = self._anchors[event.anchor]
        if target is None:
            raise InvalidManifest(f"line {line(event)}: the anchor &{event.anchor} contains itself; remove this alias")
        self._count(target.nodes, target.size)
        check_depth(depth - 1 + target.height, line(event))
        return Alias(target.node, event), target.height

    def _collection(self, event: _Event, depth: int) -> tuple[yaml.Node, int]:
        check_depth(depth, line(event))
        children, height = list[yaml.Node](), 0
        while not isinstance(child := next(self._events), yaml.CollectionEndEvent):
            node, levels = self._node(child, depth + 1)
            children.append(node)
            height = max(height, levels)
        end: _Event = child
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        tag = event.tag if event.tag not in (None, "!") else f"{TAG}{'map' if is_mapping else 'seq'}"
        kind = yaml.MappingNode if is_mapping else yaml.SequenceNode
        value = list(zip(children[::2], children[1::2], strict=True)) if is_mapping else children
        return kind(tag, value, event.start_mark, end.end_mark, flow_style=event.flow_style), height + 1

    def _count(self, nodes: int, size: int = 0) -> None:
        self._nodes += nodes
        self._size += size
        if self._nodes > self._limits.nodes or self._size > self._limits.size:
            self._limits.check(self._nodes, self._size)


def _scalar(event: _Event) -> yaml.Node:
    tag, value = event.tag, event.value
    if tag in (None, "!"):
        resolvers = _RESOLVERS.get(value[:1], ()) if event.implicit[0] else ()
        tag = next((tag for tag, pattern in resolvers if pattern.match(value)), f"{TAG}str")
    return yaml.ScalarNode(tag, value, event.start_mark, event.end_mark, style=event.style)
