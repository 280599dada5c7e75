"""Composes the YAML nodes of a manifest within limits, and gives their values as kubectl does.

Unlike in PyYAML, an alias is a node of its own, so that an edit of its line does not change the anchor. As in kubectl,
an anchor may be defined again, and a merge key overrides the keys before it. The limits hold for the expanded manifest:
a few lines of aliases can stand for gigabytes.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, cast

import yaml
from yaml.resolver import BaseResolver

from webhook.preview.errors import InvalidManifest
from webhook.preview.limits import LOCAL, Limits, check_depth
from webhook.preview.scalars import TAG, Loader, line, scalar, scalar_key

JSON = Any
"""A JSON value as Python objects."""
_MERGE: Final = "<<"


class Alias(yaml.Node):
    """An alias, `*name`. Its value is the node of the anchor."""

    id = "alias"

    def __init__(self, target: yaml.Node, event: yaml.AliasEvent) -> None:
        super().__init__(target.tag, target, *_marks(event, event))


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


def _marks(start: yaml.Event, end: yaml.Event) -> tuple[Any, Any]:
    return start.start_mark, end.end_mark


class _Extent(NamedTuple):
    """A node, and how much it stands for."""

    node: yaml.Node
    nodes: int
    size: int
    height: int
    """Levels of collections, itself included."""


class _Resolver(BaseResolver):
    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


class _Composer:
    """Composes one document after the other from the same events."""

    def __init__(self, events: Iterator[yaml.Event], limits: Limits) -> None:
        self._events = events
        self._limits = limits
        self._resolver = _Resolver()
        self._anchors = dict[str, _Extent | None]()
        """The anchors of the document. None while their nodes are being composed."""
        self._nodes = self._size = 0
        """Of all documents."""

    def document(self) -> yaml.Node:
        """The root of the document whose start is the last event."""
        self._anchors.clear()
        return self._node(next(self._events), 1).node

    def _node(self, event: yaml.Event, depth: int) -> _Extent:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        nodes, size, anchor = self._nodes, self._size, getattr(event, "anchor", None)
        self._count(1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        if anchor:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node, height = self._scalar(event), 0
        else:
            node, height = self._collection(cast("yaml.CollectionStartEvent", event), depth)
        extent = _Extent(node, self._nodes - nodes, self._size - size, height)
        if anchor and self._anchors[anchor] is None:
            self._anchors[anchor] = extent
        return extent

    def _alias(self, event: yaml.AliasEvent, depth: int) -> _Extent:
        if event.anchor not in self._anchors:
            raise InvalidManifest(f"line {line(event)}: the document has no anchor &{event.anchor} before this alias")
        target = self._anchors[event.anchor]
        if target is None:
            raise InvalidManifest(f"line {line(event)}: the anchor &{event.anchor} contains itself; remove this alias")
        self._count(target.nodes, target.size)
        check_depth(depth - 1 + target.height, f"line {line(event)}:")
        return target._replace(node=Alias(target.node, event))

    def _scalar(self, event: yaml.ScalarEvent) -> yaml.Node:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        return yaml.ScalarNode(tag, event.value, *_marks(event, event), style=event.style)

    def _collection(self, event: yaml.CollectionStartEvent, depth: int) -> tuple[yaml.Node, int]:
        check_depth(depth, f"line {line(event)}:")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        tag = event.tag if event.tag not in (None, "!") else f"{TAG}{'map' if is_mapping else 'seq'}"
        children, height = list[yaml.Node](), 0
        while not isinstance(child := next(self._events), yaml.CollectionEndEvent):
            extent = self._node(child, depth + 1)
            children.append(extent.node)
            height = max(height, extent.height)
        kind = yaml.MappingNode if is_mapping else yaml.SequenceNode
        value = list(zip(children[::2], children[1::2], strict=True)) if is_mapping else children
        return kind(tag, value, *_marks(event, child), flow_style=event.flow_style), height + 1

    def _count(self, nodes: int, size: int) -> None:
        self._nodes += nodes
        self._size += size
        self._limits.check(self._nodes, self._size)
