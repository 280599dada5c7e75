"""The files that are printed from the code's own declarations. Usage: reference.py CHECKOUT"""

import sys
from collections.abc import Iterable
from pathlib import Path

from chart_schema import values_schema
from webhook.annotations import ANNOTATIONS
from webhook.settings import Rule
from webhook.settings.loading import declared

SCHEMA = "charts/model-injector/values.schema.json"
ANNOTATIONS_PAGE = """# Annotations

They stand on a **pod template** (`spec.template.metadata.annotations` of a Deployment, StatefulSet, Job …), where they
are part of each pod. On the workload itself they do nothing. The prefix is a setting, `annotationPrefix`.

{table}

- Values are strings: `"false"`, not `false`.
- A value that cannot be is refused when the pod is created, with the annotation, its value and what is allowed. See it
  with `kubectl describe replicaset`: a Deployment's own creation succeeds.
- An annotation under the prefix that nobody knows is a warning, with the nearest known name.
- Values never reach a shell. They are checked, and become arguments or environment of a constant script.

## Several models

```yaml
model-injector.io/models: |
  - model: my-org/encoder
    version: 2.0.0
    modelPath: /models/encoder
    containers: [router, encoder]
  - model: ranker
    version: 2026-11-01
    modelPath: /models/ranker
```

Keys of an entry are the names above in camelCase, without `models`, `service-account` and `inject`, which are the
pod's. The pod's own annotations hold for every entry that does not say otherwise. Scalars are text: `version: 1.10` is
`1.10`.

## What the containers find

| variable | one model | each of several |
| --- | --- | --- |
| folder | `MODEL_PATH` | `MODEL_<NAME>_PATH` |
| name | `MODEL_NAME` | `MODEL_<NAME>_NAME` |
| exact version | `MODEL_VERSION` | `MODEL_<NAME>_VERSION` |

`<NAME>` is the model's name in capitals, other signs as `_` (`my-org/encoder` is `MY_ORG_ENCODER`); where two models of
a pod share it, the version follows it. A variable that a container has already stays as it is. Ours stand first, so
that the container's own can refer to them: `value: --model=$(MODEL_PATH)`.

## Names that are ours

The volumes `model-artifacts` and `model-artifacts-memory`, and for each model the init container `fetch-<name>`. A pod
that has one of them for something else is refused. The annotation `model-injector.io/injected` is written by us: a JSON
list of what was injected (model, asked, version, strategy, uri, files, bytes, digest). So is `pinned` on a workload's
template: the versions that its references mean ([the catalog](catalog.md)).
"""

SETTINGS_PAGE = """# Settings

A YAML file (`--config FILE`), and the environment, which wins over the file. A list or a mapping in the environment is
JSON. An unknown or impossible setting stops the start with one line that names it.

In the chart's values, the settings are under the key `config`. `--config` also takes such a values file.

```yaml
bucket: my-ml-bucket
prefix: model-artifacts
region: eu-west-1
fetch:
  timeout: 1h
```

{table}

Each of `sources` has the settings `bucket` to `requesterPays` above. A duration is a number of seconds, or text such
as `30m` or `1h30m`.

Each of `rules` has these. Names are globs: `*` stands for any signs, a slash among them, `?` for one, `[abc]` for one
of these. The first rule that fits a pod and a model decides; where none does, all is allowed.

{rules}
"""


def pages(checkout: Path) -> dict[str, str]:
    """Path in the checkout to content. The schema's hand-written part is taken from the file in the checkout."""
    annotations = [(f"`{one.name}`", one.meaning, one.allowed, one.default) for one in ANNOTATIONS]
    settings = [
        (f"`{one.path}`", f"`{one.variable}`", _default(one.default), " ".join((one.field.description or "").split()))
        for one in declared()
    ]
    rules = [
        (f"`{field.alias}`", _default(field.default), " ".join((field.description or "").split()))
        for field in Rule.model_fields.values()
    ]
    return {
        "docs/annotations.md": ANNOTATIONS_PAGE.replace(
            "{table}", _table(("name", "meaning", "value", "default"), annotations)
        ),
        "docs/settings.md": SETTINGS_PAGE.replace(
            "{table}", _table(("setting", "environment", "default", "reason"), settings)
        ).replace("{rules}", _table(("setting", "default", "reason"), rules)),
        SCHEMA: values_schema((checkout / SCHEMA).read_text()),
    }


def _default(value: object) -> str:
    shown = str(value).lower() if isinstance(value, bool) else ", ".join(value) if isinstance(value, tuple) else value
    return f"`{shown}`" if value not in (None, "", (), {}) else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for name, content in pages(root).items():
        (root / name).write_text(content)
