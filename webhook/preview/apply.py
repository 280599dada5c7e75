"""JSON Patches applied as the API server does."""

from collections.abc import Sequence
from typing import Any

import jsonpatch
import msgspec
from jsonpatch import JsonPatchException
from jsonpointer import JsonPointerException

from webhook.kubernetes.patch import Operation
from webhook.preview.errors import InvalidManifest


def apply(value: dict[str, Any], patch: Sequence[Operation]) -> dict[str, Any]:
    """A JSON object with a JSON Patch applied; both stay as they are. Raises InvalidManifest where they do not fit."""
    if not patch:
        return value
    changed, operations = msgspec.json.decode(msgspec.json.encode((value, patch)))  # copies, the fastest way
    try:
        found: dict[str, Any] = jsonpatch.apply_patch(changed, operations, in_place=True)
    except (JsonPatchException, JsonPointerException, LookupError, AttributeError, TypeError, ValueError) as error:
        raise InvalidManifest(f"a patch that is not for this object: {type(error).__name__}") from None
    return found
