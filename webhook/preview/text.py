"""A manifest as its author wrote it: patched with comments, order and quotes kept, and diffs of that."""

import difflib
import io
from collections.abc import Sequence
from typing import Any, Final

import jsonpatch
import msgspec
from jsonpointer import resolve_pointer
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

from webhook.patch import Operation
from webhook.preview.documents import Document, is_json, sources
from webhook.strategies.s3_init import SCRIPT

_WIDTH: Final = 1 << 30
"""Of a line: none is folded."""
_SHORT_SCRIPT: Final = f"(fetch.sh: {len(SCRIPT)} bytes, the same for every model)"


class Text:
    """The text of a manifest that has been read."""

    def __init__(self, body: bytes) -> None:
        self._sources = None if is_json(body) else sources(body.decode("utf-8-sig"))

    def diff(self, document: Document, patch: Sequence[Operation], namespace: str) -> str:
        """A unified diff of one of its documents, before and after; the script of init containers is cut short."""
        if not patch:
            return ""
        written = self._written(document)
        before = written.dump()
        written.patch([_shortened(operation) for operation in patch])
        name = "/".join(filter(None, (document.kind, namespace, document.name)))
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), written.dump().splitlines(keepends=True), f"a/{name}", f"b/{name}"
        )
        return "".join(lines)

    def patched(self, document: Document, patch: Sequence[Operation]) -> str:
        """One of its documents as YAML, with a patch applied; as it was, where there is none."""
        if self._sources and not patch and not document.path:
            return _ended(self._sources[document.source])
        written = self._written(document)
        written.patch(patch)
        return written.dump()

    def _written(self, document: Document) -> "_Written":
        if self._sources is None:
            return _Written.of(document.value)
        return _Written.read(self._sources[document.source], document)


class _Written:
    """One document as a tree that remembers how it was written."""

    def __init__(self, yaml: YAML, tree: Any) -> None:
        self._yaml, self._tree = yaml, tree

    @classmethod
    def read(cls, text: str, document: Document) -> "_Written":
        """From its text. JSON in the midst of YAML, and what YAML 1.2 has otherwise, is written anew."""
        yaml = _yaml()
        try:
            tree, indent, offset = load_yaml_guess_indent(text, yaml=yaml)
            found = resolve_pointer(tree, document.path)
        except (YAMLError, LookupError, ValueError):
            return cls.of(document.value)
        if found.fa.flow_style():
            return cls.of(document.value)
        if offset is not None:
            yaml.indent(mapping=2, sequence=indent, offset=offset)
        return cls(yaml, found)

    @classmethod
    def of(cls, value: dict[str, Any]) -> "_Written":
        """From its value alone."""
        return cls(_yaml(), msgspec.json.decode(msgspec.json.encode(value)))  # its own: it will be patched in place

    def patch(self, operations: Sequence[Operation]) -> None:
        """Apply operations."""
        self._tree = jsonpatch.apply_patch(self._tree, list(operations), in_place=True)

    def dump(self) -> str:
        """As YAML."""
        stream = io.StringIO()
        self._yaml.dump(self._tree, stream)
        return _ended(stream.getvalue())


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    return yaml


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _shortened(operation: Operation) -> Operation:
    return {**operation, "value": without_script(operation["value"])}


def without_script(value: Any) -> Any:
    """JSON in which a line stands for the init containers' script."""
    if isinstance(value, dict):
        return {key: without_script(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_script(inner) for inner in value]
    return _SHORT_SCRIPT if value == SCRIPT else value
