"""Parses a manifest, YAML or JSON, into documents, as the API server would read them, within limits."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

import yaml

from webhook.kubernetes.unstructured import Unstructured, levels
from webhook.preview.errors import InvalidManifest, ManifestTooLarge
from webhook.preview.json_text import json_values
from webhook.preview.limits import Limits, check_depth
from webhook.preview.nodes import JSON, compose_all, value_of
from webhook.preview.openshift import is_template, objects_in

_UTF_16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_QUOTE: Final = "; quote the value"
_ADVICE: Final = {"\t": "; indent with spaces", "@": _QUOTE, "`": _QUOTE, "%": _QUOTE}
"""What to do about an error in the syntax of YAML, by the character at its place."""
_UNREADABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Document(Unstructured, frozen=True):
    """One object of a manifest."""

    source: int = 0
    """The index, from 0, of the YAML or JSON document that contains the object."""
    path: str = ""
    """Its JSON Pointer in that document: `/items/0` in a List, `/request/object` in an AdmissionReview."""
    review: dict[str, JSON] | None = None
    """The `request` of the AdmissionReview that contains the object; None if it comes from elsewhere."""

    def namespace(self, default: str) -> str:
        """The namespace of the AdmissionReview or the object, else `default`."""
        namespace = (self.review or self.metadata).get("namespace")
        return namespace if isinstance(namespace, str) and namespace else default


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
        for document in _objects(value, index, "", limits):
            if not document.kind or not document.group_version:
                place = f"document {index + 1}{document.path.replace('/', ' ')}"
                raise InvalidManifest(f"{place}: apiVersion or kind is missing; set both")
            documents.append(document)
            if len(documents) > limits.documents:
                raise ManifestTooLarge(f"the manifest has more than {limits.documents} documents; preview a part of it")
    if not documents:
        raise InvalidManifest("the manifest is empty")
    return documents


def text_of(body: bytes, limits: Limits) -> str:
    """The text of a manifest within limits. Raises ManifestTooLarge, and InvalidManifest if YAML does not allow it."""
    limits.check(size=len(body))
    text = decoded(body)
    if match := _UNREADABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        advice = "save the manifest as UTF-8" if match[0] == "\0" else "remove it"  # UTF-16 and UTF-32 have many
        raise InvalidManifest(f"line {line} contains the control character {match[0]!r}; {advice}")
    return text


def decoded(body: bytes) -> str:
    """The text of a manifest: UTF-8, or UTF-16 with a byte order mark, as kubectl reads it. Raises InvalidManifest."""
    encoding, name = ("utf-16", "UTF-16") if body.startswith(_UTF_16_MARKS) else ("utf-8-sig", "UTF-8")
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"the manifest is not {name}: byte {error.start} is invalid; save it as UTF-8") from error


def _check_tree(values: Iterable[JSON], limits: Limits) -> None:
    for depth, nodes in enumerate(accumulate(levels(values))):
        limits.check(nodes)
        check_depth(depth)


def _as_yaml(text: str, limits: Limits) -> Iterator[JSON]:
    """The value of each document."""
    try:
        for node in compose_all(text, limits):
            yield value_of(node)
    except yaml.YAMLError as error:
        raise InvalidManifest(f"invalid YAML: {_described(error, text)}") from error


def _described(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        advice = _ADVICE.get(text[mark.index : mark.index + 1], "")
        return f"line {mark.line + 1}: {error.problem}{advice}"
    return " ".join(str(error).split())


def _objects(value: Mapping[str, JSON], source: int, path: str, limits: Limits) -> Iterator[Document]:
    """The object itself, the items of a List or a Template, or the object in an AdmissionReview."""
    request = value.get("request")
    if (items := _items(value, source)) is not None:
        for index, item in enumerate(items):
            yield from _objects(item, source, f"{path}/items/{index}", limits)
    elif is_template(value):
        objects = objects_in(value, f"document {source + 1}", limits)
        _check_tree(objects, limits)
        for index, item in enumerate(objects):
            yield from _objects(item, source, f"{path}/objects/{index}", limits)
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
