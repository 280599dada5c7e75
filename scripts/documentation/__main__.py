"""Generates documentation and chart files from declarations in the code. Usage: python -m documentation CHECKOUT"""

import json
import sys
from pathlib import Path

from documentation.chart_schema import values_schema
from documentation.commands import commands_page
from documentation.settings import settings_page
from documentation.signals import logs_page, metrics_page, reasons_page
from documentation.table import table
from webhook.annotations.contract import ANNOTATIONS
from webhook.strategies import STRATEGIES

SCHEMA = "charts/model-injector/values.schema.json"
ANNOTATIONS_PAGE = """# Annotations

Set annotations on a **pod template** (`spec.template.metadata.annotations` of a Deployment, StatefulSet, Job …), so
that each pod has them. On the workload itself they do nothing. The setting `annotationPrefix` changes the prefix.

{table}

- Values are strings: `"false"`, not `false`. White space around a value is ignored.
- A pod with an invalid value is refused at its creation. The message names the annotation, its value and what is
  allowed; `kubectl describe replicaset` shows it, because the creation of the Deployment itself succeeds.
- An unknown annotation under the prefix causes a warning with the most similar known name.
- No shell evaluates the values. They are validated, and passed to a constant script as arguments or environment
  variables.

## Strategies

{strategies}

`strategy` may be a comma-separated list in the order of preference. The first strategy that is available when the pod
is created delivers the model. A warning gives the reason why an earlier one is not used. The choice is
recorded in `injected`, and in `pinned` on a workload's template, so that all of its pods use the same strategy. An
annotation that only other strategies read does nothing, and causes a warning.

Without the annotation, the platform's settings decide: `defaults.strategy`, or the first of `defaults.strategyRules`
that matches the pod's namespace and the model. So a platform can move models from one strategy to another while the
manifests of teams stay as they are:

```yaml
defaults:
  strategy: s3-init
  strategyRules:
    - {namespaces: ["prod-*"], models: ["llama-*"], strategy: "shared-volume, s3-init"}
```

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

The keys of an entry are the names above in camelCase, without `models`, `service-account`, `follow` and `inject`,
which describe the pod. The pod's own annotations are the defaults of all entries. Scalars are text: `version: 1.10` is
`1.10`.

## Environment variables

| variable | one model | each of several |
| --- | --- | --- |
| folder | `MODEL_PATH` | `MODEL_<NAME>_PATH` |
| name | `MODEL_NAME` | `MODEL_<NAME>_NAME` |
| exact version | `MODEL_VERSION` | `MODEL_<NAME>_VERSION` |

The annotation `env-prefix` replaces `MODEL`. The `envPrefix` of an entry in `models` belongs to this model alone, so
its variables do not contain `<NAME>`: `envPrefix: ENCODER` gives `ENCODER_PATH`. With `none`, containers get no
variables. Kubernetes prefers a container's `env` to its `envFrom`, so the new variables hide those with the same names
in a config map or a secret. If the application reads these, write another prefix or `none`.

`<NAME>` is the model's name in capitals, with `_` for other characters (`my-org/encoder` is `MY_ORG_ENCODER`); where
two models of a pod have the same one, the version is appended. A variable that a container already has is not changed.
The new variables come first, so that the container's own can refer to them: `value: --model=$(MODEL_PATH)`.

## Reserved names

The volumes `model-artifacts`, `model-artifacts-memory` and `models-volume` are reserved, and for each model the init
container `fetch-<name>` and the volume `model-<name>`. A pod that uses one of these names for something else is
refused. The webhook writes two annotations: `model-injector.io/injected`, a JSON list of the models in a pod (model,
asked, version, strategy, uri, files, bytes, digest), and `pinned` on a workload's template, the versions that its
references resolve to ([the catalog](catalog.md)).
"""


def pages(checkout: Path) -> dict[str, str]:
    """The content of each generated file by path. The hand-written part of the schema is read from the checkout."""
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
    return {
        "docs/annotations.md": ANNOTATIONS_PAGE.replace(
            "{table}", table(("name", "meaning", "value", "default"), annotations)
        ).replace(
            "{strategies}", table(("strategy", "how the model gets into the pod", "its own annotations"), strategies)
        ),
        "docs/settings.md": settings_page(),
        "docs/reference/commands.md": commands_page(),
        "docs/reference/metrics.md": metrics_page(),
        "docs/reference/reasons.md": reasons_page(),
        "docs/reference/logs.md": logs_page(checkout),
        SCHEMA: values_schema((checkout / SCHEMA).read_text()),
        "charts/model-injector/files/strategies.json": _for_guard(),
    }


def _for_guard() -> str:
    """The volume types that prove a delivery for each strategy, as JSON. The chart's guard reads them."""
    volume_types = {name: {"volumeTypes": strategy.volume_types} for name, strategy in STRATEGIES.items()}
    return json.dumps(volume_types, indent=2) + "\n"


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for name, content in pages(root).items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
