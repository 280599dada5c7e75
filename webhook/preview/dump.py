"""Writes JSON as YAML that YAML 1.1 and 1.2 readers parse alike: a string is quoted if any of them would parse it as
another type.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import yaml

from webhook.preview.scalars import Loader

_WIDTH: Final = 1 << 30
"""The maximum width of a line: so large that PyYAML folds no line."""
_LONGEST_KEY: Final = 1000
"""Characters of a simple key, below YAML's limit of 1,024. Longer keys are written in the explicit form `? key`."""
_BREAK: Final = re.compile("[\n\x85\u2028\u2029]")
_NOT_A_BLOCK: Final = re.compile("^[ \n]|[\x85\u2028\u2029]")
"""Text that a block scalar cannot hold without an indentation indicator, or with line breaks that only some readers
recognize."""


def dump(value: Any, *, indented: bool = False) -> str:
    """A JSON value as YAML in block style. `indented` indents the lists in mappings by two spaces."""
    return "".join(f"{line}\n" for line in _lines(value, "  " if indented else ""))


def _lines(value: Any, indent: str) -> Iterator[str]:
    """The lines of a value. Collections are not written by PyYAML, which takes minutes for a large manifest."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from _entry(_scalar(name, block=False), child, indent)
    elif isinstance(value, list | tuple) and value:
        for child in value:
            first, *rest = _lines(child, indent)
            yield f"- {first}"
            yield from (f"  {line}" if line else line for line in rest)
    elif isinstance(value, dict | list | tuple):
        yield "{}" if isinstance(value, dict) else "[]"
    else:
        yield from _scalar(value).split("\n")


def _entry(name: str, value: Any, indent: str) -> Iterator[str]:
    start = f"{name}:" if len(name) <= _LONGEST_KEY else f"? {name}\n:"
    if isinstance(value, dict | list | tuple) and value:
        yield from start.split("\n")
        deeper = "  " if isinstance(value, dict) else indent
        yield from (f"{deeper}{line}" if line else line for line in _lines(value, indent))
    else:
        first, *rest = _lines(value, indent)
        yield from f"{start} {first}".split("\n")
        yield from rest


class _Scalars(yaml.SafeDumper):
    """Quotes strings that PyYAML or kubectl would parse as another type."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - declared by PyYAML
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()), *Loader.yaml_implicit_resolvers.get(first, ())]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
    }

    def write_text(self, text: str) -> yaml.ScalarNode:
        style = '"' if _NOT_A_BLOCK.search(text) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


class _InLine(_Scalars):
    """Writes every string on one line."""

    def write_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAK.search(text) else None)


_Scalars.add_representer(str, _Scalars.write_text)
_InLine.add_representer(str, _InLine.write_text)


@lru_cache(maxsize=4096, typed=True)
def _scalar(value: Any, *, block: bool = True) -> str:
    dumper = _Scalars if block else _InLine
    text: str = yaml.dump(value, Dumper=dumper, allow_unicode=True, width=_WIDTH)
    return text.removesuffix("...\n").removesuffix("\n")
