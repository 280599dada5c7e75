"""RFC 6902 operations. Only `add`: nothing of the pod is ever written again, so nothing of it can be lost."""

from collections.abc import Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]
"""A JSON object."""
Operation: TypeAlias = dict[str, Any]
"""One operation: `{"op": "add", "path": JSON Pointer, "value": any JSON}`."""


def escape(member: str) -> str:
    """The name of an object's member, as a JSON Pointer (RFC 6901) has it."""
    return member.replace("~", "~0").replace("/", "~1")


def add(path: str, value: object) -> Operation:
    """Add `value` at `path`. On an object's member that is there, RFC 6902 makes this a replacement."""
    return {"op": "add", "path": path, "value": value}


def extend(path: str, existing: object | None, values: Sequence[object], at: int | None = None) -> list[Operation]:
    """Put `values` into the list at `path`, in their order: before index `at`, or at its end.

    `existing` is that list as it is, None where it is absent or null; then the whole list is made.
    """
    if not values:
        return []
    if existing is None:
        return [add(path, list(values))]
    if at is None:
        return [add(f"{path}/-", value) for value in values]
    return [add(f"{path}/{index}", value) for index, value in enumerate(values, at)]
