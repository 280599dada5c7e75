"""YAML of JSON, that every reader reads alike: text that one of them would take for something else is quoted."""

import re
from typing import Any, Final

import yaml

from webhook.preview.scalars import Loader


def dump(value: Any, *, indented: bool = False) -> str:
    """JSON as YAML in lines. Lists in mappings may be indented."""
    dumper = _Indented if indented else _Lines
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text.removesuffix("...\n")


_BREAK: Final = re.compile("[\\x85\\u2028\\u2029]")
"""Line breaks that only some readers know."""
_WIDTH: Final = 1 << 30
"""Of a line: none is folded."""


class _Lines(yaml.SafeDumper):
    """Writes text of several lines as such, and nothing as an alias."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()), *Loader.yaml_implicit_resolvers.get(first, ())]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's
        return True

    def write_text(self, text: str) -> yaml.ScalarNode:
        style = '"' if _BREAK.search(text) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


class _Indented(_Lines):
    """Writes lists in mappings with an indent."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


_Lines.add_representer(str, _Lines.write_text)
