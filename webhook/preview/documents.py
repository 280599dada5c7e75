"""Parses a manifest, YAML or JSON, into documents, as the API server would read them, within limits.

Aliases are rejected: a few lines of them can expand to gigabytes, and a patch of an aliased value would change every
place that refers to it.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import yaml

from webhook.preview.errors import InvalidManifest, ManifestTooLarge
from webhook.preview.scalars import TAG, Loader, key, line, scalar

JSON = Any
"""A JSON value as Python objects."""
_DEPTH: Final = 64
_UNREADABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits of a preview. Exceeding one raises ManifestTooLarge."""

    size: int
    """Bytes of the manifest."""
    documents: int
    """Objects in the manifest. Items of a List count individually."""
    models: int
    """Models that all pods together request. Each adds an init container, script included, to the response."""
    nodes: int
    """YAML nodes of all documents together: mappings, lists and scalars, keys included."""
    answer: int
    """Bytes of the response."""


SERVED: Final = Limits(512 * 1024, 500, 100, 50_000, 4 * 1024 * 1024)
"""The limits of a server: many times the size of typical manifests, and small enough for any user to request."""
LOCAL: Final = Limits(64 * 1024 * 1024, 20_000, 100_000, 10_000_000, 1 << 40)
"""The limits of the command line: large enough for a whole release with CustomResourceDefinitions."""


class Document(msgspec.Struct, frozen=True):
    """One object of a manifest."""

    value: dict[str, JSON]
    source: int
    """The index, from 0, of the YAML or JSON document that contains the object."""
    path: str = ""
    """Its JSON Pointer in that document: `/items/0` in a List, `/request/object` in an AdmissionReview."""
    review: dict[str, JSON] | None = None
    """The `request` of the AdmissionReview that contains the object; None if it comes from elsewhere."""

    @property
    def kind(self) -> str:
        """The kind; empty if it is missing."""
        return _text(self.value.get("kind"))

    @property
    def group_version(self) -> str:
        """The apiVersion, such as `apps/v1`; empty if it is missing."""
        return _text(self.value.get("apiVersion"))

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        group, slash, _ = self.group_version.partition("/")
        return group if slash else ""

    @property
    def metadata(self) -> dict[str, JSON]:
        """The metadata; empty if it is missing."""
        metadata = self.value.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        """`metadata.name`, else `metadata.generateName`, else empty."""
        return _text(self.metadata.get("name")) or _text(self.metadata.get("generateName"))

    def namespace(self, default: str) -> str:
        """The namespace of the AdmissionReview or the object, else `default`."""
        return _text((self.review or self.metadata).get("namespace")) or default


def read(body: bytes, limits: Limits) -> list[Document]:
    """The objects of a manifest in their order. Lists and AdmissionReviews are replaced by the objects in them.

    Raises InvalidManifest, which names the line or the document, and ManifestTooLarge.
    """
    text = text_of(body, limits)
    values: Iterable[JSON] | None = json_values(text)
    if values:
        _check_tree(values, limits)
    else:
        values = _as_yaml(text, limits)
    documents = list[Document]()
    for index, value in enumerate(values):
        if value is None:
            continue
        if not isinstance(value, dict):
            raise InvalidManifest(f"document {index + 1} is not an object; write a mapping with apiVersion and kind")
        for document in _objects(value, index, ""):
            if not document.kind or not document.group_version:
                place = f"document {index + 1}{document.path.replace('/', ' ')}"
                raise InvalidManifest(f"{place}: apiVersion or kind is missing; set both")
            documents.append(document)
            if len(documents) > limits.documents:
                raise ManifestTooLarge(f"the manifest has more than {limits.documents} documents; preview a part of it")
    if not documents:
        raise InvalidManifest("the manifest is empty")
    return documents


def json_values(text: str) -> list[JSON] | None:
    """The values of a sequence of JSON texts, a form that kubectl accepts. None if the text is not JSON."""
    values, position = list[JSON](), _after_space(text, 0)
    try:
        while position < len(text):
            value, position = _DECODER.raw_decode(text, position)
            values.append(value)
            position = _after_space(text, position)
    except (ValueError, RecursionError):
        return None
    return values


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
_SPACE: Final = re.compile(r"\s*")


def text_of(body: bytes, limits: Limits) -> str:
    """Decode a manifest. Raises InvalidManifest for text that YAML does not allow, and ManifestTooLarge."""
    if len(body) > limits.size:
        raise ManifestTooLarge(f"the manifest is larger than {limits.size} bytes; preview a part of it")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"the manifest is not UTF-8: byte {error.start} is invalid; save it as UTF-8") from error
    if match := _UNREADABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise InvalidManifest(f"line {line} contains the control character {match[0]!r}; remove it")
    return text


def _check_tree(values: Iterable[JSON], limits: Limits) -> None:
    nodes, level = 0, list(values)
    for _ in range(_DEPTH):
        nodes += len(level) + sum(len(node) for node in level if isinstance(node, dict))
        if nodes > limits.nodes:
            raise _too_many(limits)
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise InvalidManifest(f"the manifest is nested deeper than {_DEPTH} levels")


def _as_yaml(text: str, limits: Limits) -> Iterator[JSON]:
    """The value of each document.

    Checks the limits on the events of the parser, which need little memory, before it composes any node.
    """
    depth = nodes = 0
    try:
        for event in yaml.parse(text, Loader):
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if nodes > limits.nodes:
                raise _too_many(limits)
            if depth > _DEPTH:
                raise InvalidManifest(f"line {line(event)}: nested deeper than {_DEPTH} levels")
            if isinstance(event, yaml.AliasEvent):
                raise InvalidManifest(
                    f"line {line(event)}: the alias *{event.anchor} is not supported; write out its value"
                )
        for node in yaml.compose_all(text, Loader):
            yield value_of(node)
    except yaml.YAMLError as error:
        raise InvalidManifest(f"invalid YAML: {_described(error)}") from error


def _described(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def value_of(node: yaml.Node | None) -> JSON:
    """The value of a YAML node. Raises InvalidManifest, with the line, for a value that JSON cannot represent."""
    if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
        mapping = dict[str, JSON]()
        for name, value in node.value:
            mapping[key(name, mapping)] = value_of(value)
        return mapping
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
        return [value_of(child) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    if node is None:
        return None
    raise InvalidManifest(
        f"line {line(node)}: JSON cannot represent {node.tag}; write text, a number, a boolean, a list or a mapping"
    )


def _objects(value: Mapping[str, JSON], source: int, path: str) -> Iterator[Document]:
    """The object itself, the items of a List, or the object in an AdmissionReview."""
    request = value.get("request")
    if (items := _items(value, source)) is not None:
        for index, item in enumerate(items):
            yield from _objects(item, source, f"{path}/items/{index}")
    elif value.get("kind") == "AdmissionReview":
        if not isinstance(request, dict) or not isinstance(request.get("object"), dict):
            raise InvalidManifest(
                f"document {source + 1}: the AdmissionReview has no request.object; add the reviewed object"
            )
        yield Document(request["object"], source, f"{path}/request/object", request)
    else:
        yield Document(dict(value), source, path)


def _items(value: Mapping[str, JSON], source: int) -> list[dict[str, JSON]] | None:
    """The items of a List. None for other kinds, of which some have a field `items` with another meaning."""
    kind, items = value.get("kind"), value.get("items")
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(items, list):
        return None
    invalid = next((index for index, item in enumerate(items) if not isinstance(item, dict)), None)
    if invalid is not None and kind == "List":
        raise InvalidManifest(
            f"document {source + 1}: items[{invalid}] is not an object; write a mapping with apiVersion and kind"
        )
    return items if invalid is None else None


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else ""


def _too_many(limits: Limits) -> ManifestTooLarge:
    return ManifestTooLarge(f"the manifest has more than {limits.nodes} nodes; preview a part of it")
