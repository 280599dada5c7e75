"""YAML of JSON, that every reader reads alike: text that one of them would take for something else is quoted."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import yaml

from webhook.preview.scalars import Loader

_WIDTH: Final = 1 << 30
"""Of a line: none is folded."""
_LONGEST_KEY: Final = 1000
"""Signs, before the colon that makes it one; YAML's own limit is 1,024."""
_BREAK: Final = re.compile("[\n\x85\u2028\u2029]")
_NOT_A_BLOCK: Final = re.compile("^[ \n]|[\x85\u2028\u2029]")
"""Text that a block would need an indentation indicator for, or that has line breaks which only some readers know."""


def dump(value: Any, *, indented: bool = False) -> str:
    """JSON as YAML in lines. Lists in mappings may be indented."""
    return "".join(f"{line}\n" for line in _lines(value, "  " if indented else ""))


def _lines(value: Any, indent: str) -> Iterator[str]:
    """The library's own way of writing collections takes minutes for what a large manifest may get."""
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
    """Knows what any reader could take a text for."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()), *Loader.yaml_implicit_resolvers.get(first, ())]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
    }

    def write_text(self, text: str) -> yaml.ScalarNode:
        style = '"' if _NOT_A_BLOCK.search(text) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


class _InLine(_Scalars):
    """Writes every text in one line."""

    def write_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAK.search(text) else None)


_Scalars.add_representer(str, _Scalars.write_text)
_InLine.add_representer(str, _InLine.write_text)


@lru_cache(maxsize=4096, typed=True)
def _scalar(value: Any, *, block: bool = True) -> str:
    dumper = _Scalars if block else _InLine
    text: str = yaml.dump(value, Dumper=dumper, allow_unicode=True, width=_WIDTH)
    return text.removesuffix("...\n").removesuffix("\n")
