"""Objects of any kind as plain JSON, within limits."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

import msgspec

from webhook.errors import InjectorError
from webhook.kubernetes.decoding import decoded

DEEPEST: Final = 64
"""Levels of nesting in an object."""
_MOST_NODES: Final = 20_000
_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class ObjectTooLarge(InjectorError):
    """An object exceeds a limit. The message says which one."""


class Unstructured(msgspec.Struct, frozen=True):
    """One object. Its fields may have values of any type."""

    value: dict[str, Any]

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
    def is_of_kubernetes(self) -> bool:
        """Whether the kind is one of Kubernetes, in which everything shaped like a pod template is a pod template."""
        return self.group in ("", "apps", "batch")

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata; empty if it is missing."""
        metadata = self.value.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        """`metadata.name`, else `metadata.generateName`, else empty."""
        return _text(self.metadata.get("name")) or _text(self.metadata.get("generateName"))

    @property
    def resource(self) -> str:
        """The plural of the kind in lower case, as Kubernetes' own tools guess it (`UnsafeGuessKindToResource`)."""
        singular = self.kind.lower()
        if singular.endswith("s"):
            return f"{singular}es"
        return f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"

    def check(self) -> None:
        """Raise ObjectTooLarge for more nodes or levels than admission walks through."""
        for depth, nodes in enumerate(accumulate(levels((self.value,)))):
            if nodes > _MOST_NODES or depth > DEEPEST:
                raise ObjectTooLarge(
                    f"the {self.kind} has more than {_MOST_NODES} fields and values, or more than {DEEPEST} levels"
                )


def decode(raw: bytes | msgspec.Raw) -> Unstructured:
    """Decode an object. Raises InvalidObject if it is not a JSON object."""
    return Unstructured(decoded(_decoder, raw, "an object"))


def levels(values: Iterable[Any]) -> Iterator[int]:
    """The number of nodes at each depth of JSON values, from the values themselves down. Keys are nodes, too."""
    level = list(values)
    while level:
        yield len(level) + sum(len(node) for node in level if isinstance(node, dict))
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]


def without_nulls(value: Any) -> Any:
    """JSON without the members that are null, which the API server takes for absent."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
