"""Patches the text of a manifest and renders diffs, with the author's comments, order and quotes kept."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import yaml

from webhook.errors import one_line
from webhook.fetching.script import SCRIPT
from webhook.kubernetes.patch import Operation
from webhook.preview.apply import apply
from webhook.preview.documents import Document, decoded
from webhook.preview.dump import dump
from webhook.preview.edits import Edit, edits
from webhook.preview.errors import InvalidManifest
from webhook.preview.json_text import json_values
from webhook.preview.nodes import compose, value_of
from webhook.preview.scalars import Loader
from webhook.preview.unified import edited, unified

_MARK: Final = re.compile(r"---[ \t]*\r?\n")
"""A document separator that is alone on its line."""
_SHORT_SCRIPT: Final = f"(fetch.sh: {len(SCRIPT)} bytes, the same for every model)"


class ManifestText:
    """The text of a manifest that `read` accepts. JSON is rendered as YAML."""

    def __init__(self, body: bytes) -> None:
        text = decoded(body)
        self._sources = None if json_values(text) else _sources(text)

    def diff(self, document: Document, patch: Sequence[Operation], namespace: str) -> str:
        """The unified diff of a document; empty without a patch. The script of the init containers is abbreviated."""
        if not patch:
            return ""
        written = self._written(document, [without_script(operation) for operation in patch])
        name = one_line("/".join(filter(None, (document.kind, namespace, document.name))))
        return "".join((f"--- a/{name}\n", f"+++ b/{name}\n", *written.hunks()))

    def patched(self, document: Document, patch: Sequence[Operation]) -> str:
        """A document as YAML with a patch applied. Without a patch, its text is unchanged."""
        if self._sources and not patch and not document.path:
            return self._sources[document.source].text
        return self._written(document, patch).text

    def _written(self, document: Document, patch: Sequence[Operation]) -> "_Written":
        value = apply(document.value, patch)
        if self._sources and not document.path:
            source = self._sources[document.source]
            changes = edits(source.text, patch)
            if changes is not None and (written := _Written(source, changes)).reads_as(value):
                return written
        text, after = (
            dump(document.value),
            dump(value),
        )  # the author's text cannot be edited, so both sides are rendered
        whole = Edit(0, len(text.splitlines()), tuple(after.splitlines()))
        return _Written(_Source(text, 1), edits(text, patch) or [whole])


class _Source(NamedTuple):
    """The text of one document with its comments."""

    text: str
    first: int
    """The number of its first line in the manifest, from 1."""


class _Written(NamedTuple):
    """A document's text and the edits that patch it."""

    source: _Source
    edits: Sequence[Edit]

    @property
    def text(self) -> str:
        """The text after the edits."""
        text = self.source.text
        return "".join(edited(text.splitlines(keepends=True), self.edits, "\r\n" if "\r\n" in text else "\n"))

    def reads_as(self, value: Any) -> bool:
        """Whether the edited text parses as the value. This detects edits that fail on unusual YAML."""
        try:
            root = compose(self.text)
            return root is not None and bool(value_of(root) == value)
        except (yaml.YAMLError, InvalidManifest):
            return False

    def hunks(self) -> Iterator[str]:
        """The hunks of a unified diff, with the line numbers of the manifest."""
        return unified(self.source.text.splitlines(), self.edits, self.source.first)


def _sources(text: str) -> list[_Source]:
    """The text of each document of a manifest, without the `---` between them."""
    _, *marks = [_start(event) for event in yaml.parse(text, Loader) if isinstance(event, yaml.DocumentStartEvent)]
    starts = [0, *(match.end() if (match := _MARK.match(text, mark)) else mark for mark in marks)]
    ends = [*marks, len(text)]
    sources, line, counted = list[_Source](), 1, 0
    for start, end in zip(starts, ends, strict=True):
        line, counted = line + text.count("\n", counted, start), start
        sources.append(_Source(_ended(text[start:end]), line))
    return sources


def _start(event: yaml.Event) -> int:
    return event.start_mark.index if event.start_mark else 0


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def without_script(value: Any) -> Any:
    """A JSON value in which a short text replaces the script of the init containers."""
    if isinstance(value, dict):
        return {key: without_script(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_script(inner) for inner in value]
    return _SHORT_SCRIPT if value == SCRIPT else value
