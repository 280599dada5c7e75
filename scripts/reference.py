"""The files that are printed from the code's own declarations. Usage: reference.py CHECKOUT"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from chart_schema import values_schema
from webhook.annotations.contract import ANNOTATIONS
from webhook.settings import Rule
from webhook.settings.loading import declared
from webhook.strategies import STRATEGIES

SCHEMA = "charts/model-injector/values.schema.json"
ANNOTATIONS_PAGE = """# Annotations

Annotations stand on a **pod template** (`spec.template.metadata.annotations` of a Deployment, StatefulSet, Job …), so
that each pod has them. On the workload itself they do nothing. The prefix is a setting, `annotationPrefix`.

{table}

- Values are strings: `"false"`, not `false`.
- A pod with an invalid value is refused at its creation. The message names the annotation, its value and what is
  allowed; `kubectl describe replicaset` shows it, because the creation of the Deployment itself succeeds.
- An unknown annotation under the prefix is a warning, with the nearest known name.
- Values never reach a shell. They are checked, and become arguments or environment of a constant script.

## Strategies

{strategies}

`strategy` may list several with commas between, in the order of preference. The first that is available when the pod
is created delivers the model. The reason why an earlier one is not used is a warning. The choice stands in
`injected`, and in `pinned` on a workload's template, so that all of its pods agree. An annotation that belongs to
strategies of which none is asked for does nothing, and is a warning.

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

The keys of an entry are the names above in camelCase, without `models`, `service-account` and `inject`, which describe
the pod. The pod's own annotations hold for every entry that does not say otherwise. Scalars are text: `version: 1.10`
is `1.10`.

## What the containers find

| variable | one model | each of several |
| --- | --- | --- |
| folder | `MODEL_PATH` | `MODEL_<NAME>_PATH` |
| name | `MODEL_NAME` | `MODEL_<NAME>_NAME` |
| exact version | `MODEL_VERSION` | `MODEL_<NAME>_VERSION` |

`<NAME>` is the model's name in capitals, with `_` for other characters (`my-org/encoder` is `MY_ORG_ENCODER`); where
two models of a pod share it, the version follows it. A variable that a container has already stays as it is. The new
variables stand first, so that the container's own can refer to them: `value: --model=$(MODEL_PATH)`.

## Reserved names

The volumes `model-artifacts` and `model-artifacts-memory`, and for each model the init container `fetch-<name>`. A pod
that uses one of them for something else is refused. The webhook writes the annotation `model-injector.io/injected`: a
JSON list of the models that the pod got (model, asked, version, strategy, uri, files, bytes, digest). It also writes
`pinned` on a workload's template: the versions that its references mean ([the catalog](catalog.md)).
"""

SETTINGS_PAGE = """# Settings

A YAML file (`--config FILE`), and the environment, which wins over the file. A list or a mapping in the environment is
JSON. An unknown setting or an invalid value stops the start, with one line that names it.

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

Each of `rules` has these. Names are globs: `*` matches any characters, slashes included, `?` matches one, `[abc]` one
of these. The first rule that matches a pod and a model decides; where none matches, all is allowed.

{rules}
"""


def pages(checkout: Path) -> dict[str, str]:
    """Path in the checkout to content. The schema's hand-written part is taken from the file in the checkout."""
    annotations = [
        (f"`{annotation.name}`", annotation.meaning, annotation.allowed, annotation.default_in_words)
        for annotation in ANNOTATIONS
    ]
    strategies = [
        (
            f"`{strategy.name}`",
            strategy.summary,
            ", ".join(f"`{annotation.name}`" for annotation in strategy.annotations),
        )
        for strategy in STRATEGIES.values()
    ]
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
        ).replace(
            "{strategies}", _table(("strategy", "how the model gets into the pod", "its own annotations"), strategies)
        ),
        "docs/settings.md": SETTINGS_PAGE.replace(
            "{table}", _table(("setting", "environment", "default", "reason"), settings)
        ).replace("{rules}", _table(("setting", "default", "reason"), rules)),
        SCHEMA: values_schema((checkout / SCHEMA).read_text()),
        "charts/model-injector/files/strategies.json": _for_guard(),
    }


def _for_guard() -> str:
    """What the chart's guard needs to know of each strategy: the types of volumes that show that it has delivered."""
    known = {name: {"volumeTypes": strategy.volume_types} for name, strategy in STRATEGIES.items()}
    return json.dumps(known, indent=2) + "\n"


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
