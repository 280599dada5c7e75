"""The chart's values.schema.json.

`properties.config` and `$defs` are generated from the settings. The rest describes values that only the chart has, and
is maintained by hand in the file. The schema is Draft 7, which every Helm version that the chart supports reads.
"""

import json
from typing import Any

from webhook.settings import Settings


def values_schema(current: str) -> str:
    """The file's content: that of `current` with its generated parts replaced."""
    schema = json.loads(current)
    settings = _without(Settings.model_json_schema(by_alias=True), {"title", "default"})
    schema["$defs"] = settings.pop("$defs")
    schema["properties"]["config"] = settings
    return json.dumps(schema, indent=2) + "\n"


def _without(schema: Any, keywords: set[str]) -> Any:
    """The schema without some keywords. Titles repeat the keys; docs/settings.md lists the defaults."""
    if isinstance(schema, list):
        return [_without(each, keywords) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without(each, keywords) for name, each in value.items()}
        if key in ("properties", "$defs")
        else _without(value, keywords)
        for key, value in schema.items()
        if key not in keywords
    }
