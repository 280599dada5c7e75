"""Manifests for previews: YAML and JSON of pods, workloads and lists, whole and damaged."""

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.support.generators.annotations import annotated_pods
from tests.support.generators.reviews import workloads
from tests.support.generators.text import HOSTILE, changed, damaged

_TOKENS = st.sampled_from(
    [
        *("a: b\n", "- ", "  ", "\n", "---\n", "...\n", "&a ", "*a", "<<: *a\n", "? ", ": ", "|\n", ">-\n", "# c\n"),
        *("{", "}", "[", "]", ",", '"', "'", "!!binary ", "!x ", "\t", "kind: Pod\n", "apiVersion: v1\n", "spec:\n"),
        *("%YAML 1.1\n", "~", "0x1F", "1_000", "1:30", "2001-01-01", ".inf", "\ufeff", "\x85", "\r\n"),
    ]
)


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    objects: list[Any] = draw(st.lists(st.one_of(annotated_pods(), workloads), min_size=1, max_size=3))
    if not draw(st.integers(0, 4)):
        objects = [{"apiVersion": "v1", "kind": "List", "items": objects}]
    if not draw(st.integers(0, 3)):
        objects = [draw(changed(value)) for value in objects]
    if not draw(st.integers(0, 4)):
        return "\n".join(json.dumps(value) for value in objects).encode(errors="replace")
    style = draw(st.sampled_from([None, '"', "'", "|", ">"]))
    return yaml.safe_dump_all(
        objects,
        default_style=style,
        default_flow_style=draw(st.booleans()),
        width=draw(st.sampled_from([20, 80, 1000])),
        allow_unicode=draw(st.booleans()),
    ).encode(errors="replace")


_texts = st.lists(st.one_of(_TOKENS, HOSTILE), max_size=30).map(lambda parts: "".join(parts).encode(errors="replace"))
manifests = st.one_of(_documents(), damaged(_documents()), _texts)
"""Bodies of any kind."""
