"""The declarations of all annotations. Those of strategies are declared by the strategies."""

import re
from typing import Any, Final

from webhook import strategies
from webhook.annotations.model_name import model_name
from webhook.annotations.pinned import PINNED
from webhook.fields.annotation import Annotation
from webhook.fields.parsers import (
    REFERENCE,
    WrittenOtherwise,
    boolean,
    env_prefix,
    folder,
    label,
    labels,
    matching,
    one_of,
    subdomain,
)
from webhook.model.refusals import InvalidAnnotation
from webhook.model.source import DEFAULT_SOURCE
from webhook.strategies import STRATEGIES, parse_strategies

INJECTED: Final = "injected"
"""The name of the annotation that the webhook writes on pods: what was injected, as JSON."""
FOLLOW: Final = "follow"
"""The name of the annotation of a template, and of the label that the webhook then adds to the workload itself."""
WRITTEN: Final = (INJECTED, PINNED)
_MAX_TEXT: Final = 4 * 1024

_UNSET: Final = re.compile("<nil>|<no value>")
_PLACEHOLDER: Final = re.compile(r"\$\{[^{}]*\}|\$\([^()]*\)|\$\w+|\{\{[^{}]*\}\}")
_QUOTES: Final = ('"', "'", "`")
_PATHS = "an absolute path of letters, digits and ._@%+=,- without `..` or `//`, such as /models"
_BOOLEANS = '"true" or "false"'

_MODEL: Final = (
    Annotation(
        name="model",
        allowed="a model's name, such as my-model or my-org/my-model",
        meaning="The model. Its presence opts the pod in.",
        parse=model_name,
    ),
    Annotation(
        name="version",
        allowed="a version such as 1.2.3, an alias such as @champion, a range such as ^1.2, or latest",
        default="the setting defaults.version, else refused",
        meaning="The version: exact (`1.2.3`), or with a catalog an alias, a range or `latest`.",
        parse=matching(REFERENCE, 128),
    ),
    Annotation(
        name="models",
        allowed="a YAML list such as [{model: my-model, version: 1.2.3}]",
        meaning="Several models: a list of mappings, whose keys are the names of this table in camelCase. The pod's "
        "other annotations are defaults for all entries.",
        parse=str,
        is_per_model=False,
    ),
    Annotation(
        name="source",
        allowed="the name of a configured source",
        default=DEFAULT_SOURCE,
        meaning="The name of the configured source that has the model.",
        parse=label,
    ),
    Annotation(
        name="strategy",
        allowed=" or ".join(STRATEGIES),
        setting="defaults.strategy",
        meaning="How the model gets into the pod. Of a comma-separated list, the first available strategy is used.",
        parse=parse_strategies,
        is_list=True,
    ),
    Annotation(
        name="mount-path",
        allowed=_PATHS,
        setting="defaults.mountPath",
        meaning="The parent of the folder `<model>-<version>/` in the containers.",
        parse=folder,
    ),
    Annotation(
        name="model-path",
        allowed=_PATHS,
        meaning="The path of the model's own folder in the containers, independent of the version. If `mount-path` is "
        "also set, the model is at both paths.",
        parse=folder,
    ),
    Annotation(
        name="containers",
        allowed="comma-separated names of containers, such as app,worker",
        default="all app containers",
        meaning="The containers that get the mount and the environment variables. Init containers can be named too.",
        parse=labels,
        is_list=True,
    ),
    Annotation(
        name="env-prefix",
        allowed="the first part of environment variables' names, such as MODEL or ENCODER, or none",
        setting="defaults.envPrefix",
        meaning="The first part of the names of the containers' environment variables, such as `MODEL_PATH`. `none`: "
        "they get none.",
        parse=env_prefix,
    ),
    Annotation(
        name="service-account",
        allowed="a service account's name",
        setting="defaults.serviceAccount",
        meaning="The service account of a pod that does not name one.",
        parse=subdomain,
        is_per_model=False,
    ),
    Annotation(
        name="read-only",
        allowed=_BOOLEANS,
        default='"true"',
        meaning='`"false"`: the containers may write to the model\'s files.',
        parse=boolean,
    ),
)
_POD: Final = (
    Annotation(
        name=FOLLOW,
        allowed='"true", "canary" or "false"',
        default='"false"',
        meaning='`"true"`: the [controller](rollouts.md) restarts the workload when its reference means a different '
        'version. `"canary"`: before the workloads with `"true"` in its namespace.',
        parse=one_of("true", "canary", "false"),
        is_per_model=False,
    ),
    Annotation(
        name="inject",
        allowed=_BOOLEANS,
        default='"true"',
        meaning='`"false"`: do not change this pod, whatever its other annotations are.',
        parse=boolean,
        is_per_model=False,
    ),
)

ANNOTATIONS: Final = (*_MODEL, *strategies.ANNOTATIONS, *_POD)
BY_NAME: Final = {annotation.name: annotation for annotation in ANNOTATIONS}
if len(BY_NAME) < len(ANNOTATIONS):
    raise TypeError("a strategy declares an annotation with the name of a general one; choose another name")
BY_KEY: Final = {annotation.key: annotation for annotation in ANNOTATIONS if annotation.is_per_model}


def parsed(annotation: Annotation, text: str, path: str) -> Any:
    """Parse an annotation's text without the white space around it, such as the line break that ends a YAML block.

    Raises InvalidAnnotation, which names the annotation by `path`.
    """
    if len(text) > _MAX_TEXT:
        raise InvalidAnnotation(path, text, f"at most {_MAX_TEXT} characters")
    check_filled(annotation, text, path)
    try:
        return annotation.parse(text.strip())
    except WrittenOtherwise as error:
        place = path.removesuffix(annotation.name)
        others = [f"{place}{name}: {value}" for name, value in error.instead.items()]
        raise InvalidAnnotation(path, text, " and ".join(others), error.problem) from error
    except ValueError as error:
        problem = "is quoted twice" if text.strip()[:1] in _QUOTES else "is not allowed"
        raise InvalidAnnotation(path, text, annotation.allowed, problem) from error


def check_filled(annotation: Annotation, text: str, path: str) -> None:
    """Raise InvalidAnnotation if a template has left the text without its value."""
    if not text.strip():
        raise InvalidAnnotation(path, text, annotation.allowed, "is empty")
    if unset := _UNSET.search(text):
        problem = f"contains {unset[0]}, which Helm writes for a value that is not set"
        raise InvalidAnnotation(path, text, annotation.allowed, problem)
    if placeholder := _PLACEHOLDER.search(text):
        problem = f"contains the placeholder {placeholder[0][:80]}, which has to be replaced before the pod is created"
        raise InvalidAnnotation(path, text, annotation.allowed, problem)
