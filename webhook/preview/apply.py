"""Applies JSON Patches (RFC 6902), as the API server does."""

from collections.abc import Sequence
from typing import Any

import jsonpatch
import msgspec
from jsonpatch import JsonPatchException
from jsonpointer import JsonPointerException

from webhook.kubernetes.patch import Operation
from webhook.preview.errors import InvalidManifest


def apply(value: dict[str, Any], patch: Sequence[Operation]) -> dict[str, Any]:
    """Return the JSON object with the patch applied. Changes neither argument.

    Raises InvalidManifest if the patch does not apply to the object.
    """
    if not patch:
        return value
    changed, operations = msgspec.json.decode(msgspec.json.encode((value, patch)))  # the fastest deep copy
    try:
        patched: dict[str, Any] = jsonpatch.apply_patch(changed, operations, in_place=True)
    except (JsonPatchException, JsonPointerException, LookupError, AttributeError, TypeError, ValueError) as error:
        raise InvalidManifest(f"the JSON Patch does not apply to this object: {type(error).__name__}") from None
    return patched
