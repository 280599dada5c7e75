"""JSON Patches applied as the API server does."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import jsonpatch
from jsonpatch import JsonPatchException
from jsonpointer import JsonPointer, JsonPointerException

from webhook.errors import BadRequest
from webhook.patch import Operation


def apply(value: dict[str, Any], patch: Iterable[Operation]) -> dict[str, Any]:
    """A JSON object with a JSON Patch applied. Raises BadRequest where the patch is not for it.

    The object stays as it is; only what leads to a place is copied.
    """
    changed = value
    try:
        for operation in patch:
            changed = _copied(changed, JsonPointer(operation["path"]).parts[:-1])
            changed = jsonpatch.apply_patch(changed, [deepcopy(operation)], in_place=True)
    except (JsonPatchException, JsonPointerException, LookupError, AttributeError, TypeError, ValueError) as error:
        raise BadRequest(f"a patch that is not for this object: {type(error).__name__}") from None
    return changed


def _copied(value: Any, way: Sequence[str]) -> Any:
    copy = value.copy()
    if way:
        step = int(way[0]) if isinstance(copy, list) else way[0]
        copy[step] = _copied(copy[step], way[1:])
    return copy
