"""RFC 6902 operations. Only `add`: nothing of the pod is ever written again, so nothing of it can be lost."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

Operation: TypeAlias = dict[str, Any]
"""One operation: `{"op": "add", "path": JSON Pointer, "value": any JSON}`."""

END: Final = "-"


def pointer(*parts: str | int) -> str:
    """A JSON Pointer (RFC 6901) to the member that `parts` lead to, each escaped."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def add(path: Sequence[str | int], value: object) -> Operation:
    """Add `value` at `path`. On an object's member that is there, RFC 6902 makes this a replacement."""
    return {"op": "add", "path": pointer(*path), "value": value}


def extend(
    path: Sequence[str | int], existing: object | None, values: Sequence[object], at: int | None = None
) -> list[Operation]:
    """Put `values` into the list at `path`, in their order: before index `at`, or at its end.

    `existing` is that list as it is, None where it is absent or null; then the whole list is made.
    """
    if not values:
        return []
    if existing is None:
        return [add(path, list(values))]
    return [add((*path, END if at is None else at + i), value) for i, value in enumerate(values)]
