"""Every annotation, what it may hold, and what is taken where it is absent: declared once, here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args

from webhook.annotations.pinned import PINNED
from webhook.errors import InvalidAnnotation
from webhook.fields.parsers import boolean, duration, folder, label, labels, matching, one_of, quantity, size, subdomain
from webhook.model.request import Medium, key_of
from webhook.settings import DEFAULT_SOURCE, StrategyName, Verification

INJECTED: Final = "injected"
"""What was injected, as JSON; written by us, as is `pinned` on the templates of workloads."""
WRITTEN: Final = (INJECTED, PINNED)
_MAX_TEXT: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation. `parse` takes its text and raises ValueError; `allowed` completes "write …"."""

    name: str
    allowed: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    per_model: bool = True

    @property
    def key(self) -> str:
        """Its name in an entry of `models`."""
        return key_of(self.name)


_PATHS = "an absolute path of letters, digits and ._@%+=,- without `..` or `//`, such as /models"
_BOOLEANS = '"true" or "false"'

ANNOTATIONS: Final = (
    Annotation(
        "model",
        "a model's name, such as my-model or my-org/my-model",
        "",
        "The model. Its presence opts the pod in.",
        matching(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", 200),
    ),
    Annotation(
        "version",
        "a version such as 1.2.3, an alias such as @champion, a range such as ^1.2, or latest",
        "the setting defaults.version, else refused",
        "The version: exact (`1.2.3`), or with a catalog an alias, a range or `latest`.",
        matching(r"[A-Za-z0-9@^~<>=!*][A-Za-z0-9._+,<>=!^~ *-]*", 128),
    ),
    Annotation(
        "models",
        "a YAML list such as [{model: my-model, version: 1.2.3}]",
        "",
        "Several models: a list of mappings, whose keys are the names of this table in camelCase. The pod's own "
        "annotations hold for every entry that does not say otherwise.",
        str,
        per_model=False,
    ),
    Annotation(
        "source",
        "the name of a configured source",
        DEFAULT_SOURCE,
        "Where the model is: one of the configured sources.",
        label,
    ),
    Annotation(
        "strategy",
        " or ".join(get_args(StrategyName)),
        "the setting defaults.strategy",
        "How the model gets into the pod.",
        one_of(*get_args(StrategyName)),
    ),
    Annotation(
        "mount-path",
        _PATHS,
        "the setting defaults.mountPath",
        "The folder in the containers under which `<model>-<version>/` stands.",
        folder,
    ),
    Annotation(
        "model-path",
        _PATHS,
        "",
        "Mounts the model's own folder here, whatever its version. Without `mount-path` beside it, only here.",
        folder,
    ),
    Annotation(
        "containers",
        "names of containers with commas between, such as app,worker",
        "every container of the application",
        "The containers that get the mount and the environment. Init containers may be named too.",
        labels,
    ),
    Annotation(
        "service-account",
        "a service account's name",
        "the setting defaults.serviceAccount",
        "The pod's service account, where it has none of its own.",
        subdomain,
        per_model=False,
    ),
    Annotation("read-only", _BOOLEANS, '"true"', '`"false"`: the containers may write to the model\'s files.', boolean),
    Annotation(
        "volume",
        "the name of one of the pod's volumes",
        "an emptyDir of ours",
        "Download into this volume of the pod's own. What is in place already is not fetched again.",
        label,
    ),
    Annotation("medium", "disk or memory", "disk", "Where our volume stands.", one_of(*get_args(Medium))),
    Annotation(
        "size-limit",
        "a quantity of bytes, such as 20Gi",
        "what the catalog knows of its size, and fetch.sizeHeadroom percent more",
        "The most that the model may take of our volume; the scheduler looks for a node with that much.",
        size,
    ),
    Annotation(
        "verify",
        " or ".join(get_args(Verification)),
        "the setting defaults.verify",
        "How the download is checked: `size` counts files and bytes, `sha256` also checks SHA256SUMS, `none` does not "
        "compare with what the catalog recorded.",
        one_of(*get_args(Verification)),
    ),
    Annotation(
        "timeout",
        "a duration of at most a week, such as 30m or 1h30m",
        "the setting fetch.timeout",
        "How long the download may take, retries included.",
        duration,
    ),
    *(
        Annotation(
            f"fetch-{resource}-{kind}",
            f"a quantity, such as {example}",
            f"the setting fetch.resources.{kind}s.{resource}",
            f"The {resource} {kind} of the init container.",
            quantity,
        )
        for resource, example in (("cpu", "500m"), ("memory", "256Mi"))
        for kind in ("request", "limit")
    ),
    Annotation(
        "inject",
        _BOOLEANS,
        '"true"',
        '`"false"`: leave this pod alone, whatever else it says.',
        boolean,
        per_model=False,
    ),
)

BY_NAME: Final = {annotation.name: annotation for annotation in ANNOTATIONS}
BY_KEY: Final = {annotation.key: annotation for annotation in ANNOTATIONS if annotation.per_model}


def parsed(annotation: Annotation, text: str, place: str) -> Any:
    """What an annotation's text comes to. Raises InvalidAnnotation, which names it as `place` says."""
    if len(text) > _MAX_TEXT:
        raise InvalidAnnotation(place, text, f"at most {_MAX_TEXT} characters")
    try:
        return annotation.parse(text)
    except ValueError as error:
        raise InvalidAnnotation(place, text, annotation.allowed) from error
