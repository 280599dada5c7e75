"""The page about settings: a section for each group, a table for each list of mappings."""

import json
from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from documentation.table import table
from webhook.settings import ENVIRONMENT_PREFIX, Settings

SETTINGS_PAGE = """# Settings

Settings are read from a YAML file (`--config FILE`) and from environment variables, which take precedence. With an
unknown setting or an invalid value, the program exits with one line that names it.

In the chart's values, the settings are under the key `config`. `--config` also takes such a values file.

```yaml
bucket: my-ml-bucket
prefix: model-artifacts
region: eu-west-1
fetch:
  timeout: 1h
```

- The setting `fetch.timeout` is the key `timeout` of the mapping `fetch`, and the environment variable
  `MODEL_INJECTOR_FETCH__TIMEOUT`. A list or a mapping in an environment variable is JSON.
- A duration is a number of seconds, or text such as `30m`, `1h30m` or `1d`. Defaults are in seconds.
- In globs, `*` matches any characters, slashes included, `?` matches one character, and `[abc]` one of these.

The chart has values of its own, such as `replicaCount` and `webhook.failurePolicy`: the comments of
[values.yaml](../charts/model-injector/values.yaml) describe them.

## The top level

{sections}
"""


def settings_page() -> str:
    """The page about settings."""
    sections = "\n\n".join(_sections(Settings.model_construct(), "", ENVIRONMENT_PREFIX))
    return SETTINGS_PAGE.replace("{sections}", sections)


def _sections(group: BaseModel, path: str, variable: str) -> Iterator[str]:
    """The table of a group, the tables of its lists, and the sections of the groups in it."""
    fields = [(name, field, getattr(group, name)) for name, field in type(group).model_fields.items()]
    settings = [entry for entry in fields if not isinstance(entry[2], BaseModel)]
    rows = [
        (f"`{path}{field.alias}`", f"`{variable}{name.upper()}`", _default(default), _text(field.description))
        for name, field, default in settings
    ]
    if rows:
        yield table(("setting", "environment", "default", "meaning"), rows)
    for _, field, _ in settings:
        yield from _mappings(f"{path}{field.alias}", field)
    for name, field, default in fields:
        if isinstance(default, BaseModel):
            inner = f"{path}{field.alias}"
            yield f"{_marks(inner)} `{inner}`"
            yield _text(field.description)
            yield from _sections(default, f"{inner}.", f"{variable}{name.upper()}__")


def _mappings(path: str, field: FieldInfo) -> Iterator[str]:
    """The section of the mappings in a list, or of one mapping. `sources` has none: the top level has its settings."""
    kind = get_origin(field.annotation)
    for group in get_args(field.annotation) if kind is not dict else ():
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield f"{_marks(path)} {'Each of ' * (kind is tuple)}`{path}`"
            yield _text(group.__doc__)
            yield table(("setting", "default", "meaning"), map(_row, group.model_fields.values()))
            for each in group.model_fields.values():
                yield from _mappings(f"{path}.{each.alias}", each)


def _row(field: FieldInfo) -> tuple[str, str, str]:
    default = "required" if field.is_required() else _default(field.default)
    return f"`{field.alias}`", default, _text(field.description)


def _marks(path: str) -> str:
    """The marks of a section's heading: two, and one for each group that the setting is in. There are at most six."""
    return "#" * min(2 + path.count("."), 6)


def _default(value: object) -> str:
    shown = str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        shown = ", ".join(value)
    elif isinstance(value, tuple | dict):
        shown = json.dumps(value, default=lambda group: group.model_dump(by_alias=True, exclude_unset=True))
    return f"`{shown}`" if value not in (None, "", (), {}) else ""


def _text(words: str | None) -> str:
    return " ".join((words or "").split())
