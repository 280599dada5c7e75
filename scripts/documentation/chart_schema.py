"""The chart's values.schema.json.

`properties.config` and `$defs` are generated from the settings. The rest describes the chart's other values, and is
maintained by hand in the file. The schema uses Draft 7, because all Helm versions that the chart supports can read it.
"""

import json
from typing import Any

from webhook.settings import Settings


def values_schema(current: str) -> str:
    """The content of the file. `current` is its previous content, of which the generated parts are replaced."""
    schema = json.loads(current)
    settings = _without(Settings.model_json_schema(by_alias=True), {"title", "default"})
    schema["$defs"] = settings.pop("$defs")
    schema["properties"]["config"] = settings
    return json.dumps(schema, indent=2) + "\n"


def _without(schema: Any, keywords: set[str]) -> Any:
    """The schema without some keywords. Titles repeat the keys; docs/settings.md lists the defaults."""
    if isinstance(schema, list):
        return [_without(item, keywords) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without(item, keywords) for name, item in value.items()}
        if key in ("properties", "$defs")
        else _without(value, keywords)
        for key, value in schema.items()
        if key not in keywords
    }
