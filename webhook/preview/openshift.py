"""The objects in a Template of OpenShift, with the values of its parameters, as `oc process` gives them."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from webhook.preview.errors import InvalidManifest
from webhook.preview.json_text import json_values
from webhook.preview.limits import Limits

_REFERENCE: Final = re.compile(r'"\$\{\{([A-Za-z0-9_]+)\}\}"|\$\{([A-Za-z0-9_]+)\}')
"""A reference to a parameter in JSON: `"${{NAME}}"` stands for any JSON value, `${NAME}` for text."""


def is_template(value: Mapping[str, Any]) -> bool:
    """Whether an object is a Template of OpenShift."""
    return value.get("kind") == "Template" and str(value.get("apiVersion")).startswith("template.openshift.io/")


def objects_in(template: Mapping[str, Any], place: str, limits: Limits) -> list[dict[str, Any]]:
    """The objects of a Template. A reference stays if its parameter has no value, such as one that is generated.

    Raises InvalidManifest, which names the `place` of the template, and ManifestTooLarge.
    """
    objects = template.get("objects")
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        raise InvalidManifest(f"{place}: objects is not a list of objects; write mappings with apiVersion and kind")
    text, values = json.dumps(objects), _values(template.get("parameters"))
    limits.check(size=len(text) + sum(len(values.get(match[1] or match[2], "")) for match in _REFERENCE.finditer(text)))
    filled: list[dict[str, Any]] = json.loads(_REFERENCE.sub(lambda match: _replaced(match, values), text))
    return filled


def _values(parameters: object) -> dict[str, str]:
    """The values of the parameters that have one, as JSON strings without quotes."""
    return {
        str(parameter.get("name")): json.dumps(str(parameter["value"]))[1:-1]
        for parameter in (parameters if isinstance(parameters, list) else ())
        if isinstance(parameter, dict) and parameter.get("value") not in (None, "")
    }


def _replaced(match: re.Match[str], values: Mapping[str, str]) -> str:
    name = match[1] or match[2]
    if name not in values:
        return match[0]
    return values[name] if match[2] else _as_json(f'"{values[name]}"')


def _as_json(quoted: str) -> str:
    """The value of a `${{NAME}}` as JSON: itself if it is JSON, else text."""
    value: str = json.loads(quoted)
    return value if len(json_values(value) or ()) == 1 else quoted
