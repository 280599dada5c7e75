"""JSON Patch (RFC 6902). Only `add` operations: the patch removes nothing from the pod, and the only values that it
replaces are those of annotations."""

from collections.abc import Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]
"""A JSON object."""
Operation: TypeAlias = dict[str, Any]
"""One operation: `{"op": "add", "path": JSON Pointer, "value": any JSON}`."""


def escape(member: str) -> str:
    """Escape the name of an object's member for a JSON Pointer (RFC 6901)."""
    return member.replace("~", "~0").replace("/", "~1")


def add(path: str, value: object) -> Operation:
    """Add `value` at `path`. RFC 6902 replaces an object's member that exists already."""
    return {"op": "add", "path": path, "value": value}


def extend(path: str, existing: object | None, values: Sequence[object], at: int | None = None) -> list[Operation]:
    """Insert `values` into the list at `path`, in order: before index `at`, or at the end.

    `existing` is the current list. None if it is absent or null: then the list is created.
    """
    if not values:
        return []
    if existing is None:
        return [add(path, list(values))]
    if at is None:
        return [add(f"{path}/-", value) for value in values]
    return [add(f"{path}/{index}", value) for index, value in enumerate(values, at)]
