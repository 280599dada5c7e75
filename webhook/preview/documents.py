"""From a manifest's text, YAML or JSON, to its documents: as the API server would read them, within bounds.

Aliases are refused: a few lines of them make gigabytes, and a patch of one place would change every other.
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
"""What JSON can hold."""
_DEPTH: Final = 64
_UNREADABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read at most."""

    size: int
    """Bytes."""
    documents: int
    """Items of a List among them."""
    models: int
    """That pods ask for, all together: each becomes an init container with its script."""
    nodes: int
    """Mappings, lists and scalars, keys among them, of all documents together."""
    answer: int
    """Bytes."""


SERVED: Final = Limits(512 * 1024, 500, 100, 50_000, 4 * 1024 * 1024)
"""Many times what people write; what a webhook does for anyone who may create a pod."""
LOCAL: Final = Limits(64 * 1024 * 1024, 20_000, 100_000, 10_000_000, 1 << 40)
"""For a program that its user runs: a whole release, CustomResourceDefinitions and all."""


class Document(msgspec.Struct, frozen=True):
    """One object of a manifest."""

    value: dict[str, JSON]
    source: int
    """Which of the text's documents it comes from."""
    path: str = ""
    """Where it stands in that one, as a JSON pointer: `/items/0` of a List, `/request/object` of a review."""
    review: dict[str, JSON] | None = None
    """The request of the AdmissionReview that it comes from."""

    @property
    def kind(self) -> str:
        """Its kind, empty where it has none."""
        return _text(self.value.get("kind"))

    @property
    def group_version(self) -> str:
        """Its apiVersion, such as `apps/v1`."""
        return _text(self.value.get("apiVersion"))

    @property
    def group(self) -> str:
        """Its API group, empty for Kubernetes' core."""
        group, slash, _ = self.group_version.partition("/")
        return group if slash else ""

    @property
    def metadata(self) -> dict[str, JSON]:
        """Its metadata, empty where it has none."""
        metadata = self.value.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        """Its name, or what that is generated from."""
        return _text(self.metadata.get("name")) or _text(self.metadata.get("generateName"))

    def namespace(self, default: str) -> str:
        """The namespace that it is created in; `default` where it does not say."""
        return _text((self.review or self.metadata).get("namespace")) or default


def read(body: bytes, limits: Limits) -> list[Document]:
    """The documents of a manifest, those of Lists and AdmissionReviews instead of them.

    Raises InvalidManifest, with the line, for what is no manifest; ManifestTooLarge for one that is too large.
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
            raise InvalidManifest(
                f"document {index + 1} is no object: a manifest is a mapping with apiVersion and kind"
            )
        for document in _objects(value, index, ""):
            if not document.kind or not document.group_version:
                place = f"document {index + 1}{document.path.replace('/', ' ')}"
                raise InvalidManifest(f"{place}: apiVersion or kind is missing; a manifest has both")
            documents.append(document)
            if len(documents) > limits.documents:
                raise ManifestTooLarge(f"the manifest has more than {limits.documents} documents; preview a part of it")
    if not documents:
        raise InvalidManifest("the manifest is empty")
    return documents


def json_values(text: str) -> list[JSON] | None:
    """The values of JSON texts, one after the other as kubectl takes them; None for what is none, or looks like it."""
    values, place = list[JSON](), _after_space(text, 0)
    try:
        while place < len(text):
            value, place = _DECODER.raw_decode(text, place)
            values.append(value)
            place = _after_space(text, place)
    except (ValueError, RecursionError):
        return None
    return values


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
_SPACE: Final = re.compile(r"\s*")


def text_of(body: bytes, limits: Limits) -> str:
    """A manifest as text. Raises InvalidManifest and ManifestTooLarge."""
    if len(body) > limits.size:
        raise ManifestTooLarge(f"the manifest is larger than {limits.size} bytes; preview a part of it")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"the manifest is not UTF-8 text: byte {error.start} can't be") from error
    if found := _UNREADABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InvalidManifest(f"the manifest is not text: line {line} has the control character {found[0]!r}")
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
    """Each document's value. Events first: they cost little, and nothing is built from what must not be."""
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
                    f"line {line(event)}: the alias *{event.anchor} is not expanded here; write it out"
                )
        for node in yaml.compose_all(text, Loader):
            yield value_of(node)
    except yaml.YAMLError as error:
        raise InvalidManifest(f"not YAML: {_described(error)}") from error


def _described(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def value_of(node: yaml.Node | None) -> JSON:
    """What a node holds. Raises InvalidManifest, with the line, for what JSON has not."""
    if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
        found = dict[str, JSON]()
        for name, value in node.value:
            found[key(name, found)] = value_of(value)
        return found
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
        return [value_of(child) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    if node is None:
        return None
    raise InvalidManifest(f"line {line(node)}: {node.tag} is nothing that JSON has")


def _objects(value: Mapping[str, JSON], source: int, path: str) -> Iterator[Document]:
    """The object itself; of a List, its items; of an AdmissionReview, the object under review."""
    request = value.get("request")
    if (items := _items(value, source)) is not None:
        for index, item in enumerate(items):
            yield from _objects(item, source, f"{path}/items/{index}")
    elif value.get("kind") == "AdmissionReview":
        if not isinstance(request, dict) or not isinstance(request.get("object"), dict):
            raise InvalidManifest(f"document {source + 1}: an AdmissionReview of nothing: request.object is no object")
        yield Document(request["object"], source, f"{path}/request/object", request)
    else:
        yield Document(dict(value), source, path)


def _items(value: Mapping[str, JSON], source: int) -> list[dict[str, JSON]] | None:
    """The objects that are listed; None where this is no list of objects: some kinds have other items."""
    kind, items = value.get("kind"), value.get("items")
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(items, list):
        return None
    odd = next((index for index, item in enumerate(items) if not isinstance(item, dict)), None)
    if odd is not None and kind == "List":
        raise InvalidManifest(f"document {source + 1}: items[{odd}] is no object")
    return items if odd is None else None


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else ""


def _too_many(limits: Limits) -> ManifestTooLarge:
    return ManifestTooLarge(f"the manifest has more than {limits.nodes} nodes; preview a part of it")
