"""The user's contract: every annotation, what it may hold, and what is taken where it is absent.

`parse` turns a pod's annotations into a PodRequest. Each annotation is declared once, in ANNOTATIONS: parsing, the
messages, the keys of an entry of `models` and docs/annotations.md all come from there.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, get_args

import yaml
from msgspec.structs import replace

from webhook import pins
from webhook.errors import InvalidAnnotation
from webhook.pins import PINNED, Pins
from webhook.request import Medium, ModelRequest, PodRequest, key_of
from webhook.settings import DEFAULT_SOURCE, Settings, StrategyName, Verification
from webhook.values import boolean, duration, folder, label, labels, matching, one_of, quantity, size, subdomain

INJECTED: Final = "injected"
"""What was injected, as JSON; written by us, as is `pinned` on the templates of workloads."""
WRITTEN: Final = (INJECTED, PINNED)

_MAX_MODELS: Final = 32
_MAX_MODELS_TEXT: Final = 32 * 1024
_MAX_MODELS_DEPTH: Final = 3  # a list of mappings of lists
_MAX_WARNINGS: Final = 8
_MAX_MEMORISED_TEXT: Final = 4 * 1024
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

_BY_NAME: Final = {annotation.name: annotation for annotation in ANNOTATIONS}
_BY_KEY: Final = {annotation.key: annotation for annotation in ANNOTATIONS if annotation.per_model}


def parse(annotations: Mapping[str, str], settings: Settings) -> PodRequest:
    """What a pod with these annotations asks for.

    Raises InvalidAnnotation, which names the annotation, its value and what is allowed. Annotations under the prefix
    that nobody knows, and those that do nothing, come back as warnings.
    """
    prefix = f"{settings.annotation_prefix}/"
    asked = tuple((name.removeprefix(prefix), value) for name, value in annotations.items() if name.startswith(prefix))
    if not asked:
        return PodRequest()
    if sum(map(len, chain.from_iterable(asked))) > _MAX_MEMORISED_TEXT:
        return _parse(dict(asked), settings)
    return _parse_once(asked, settings)


@lru_cache(maxsize=1024)
def _parse_once(asked: tuple[tuple[str, str], ...], settings: Settings) -> PodRequest:
    """The pods of a workload carry the same annotations."""
    return _parse(dict(asked), settings)


def _parse(given: Mapping[str, str], settings: Settings) -> PodRequest:
    prefix = f"{settings.annotation_prefix}/"
    if "inject" in given and not _value(_BY_NAME["inject"], given["inject"], prefix):
        return PodRequest(opted_out=True)
    warnings = unknown((prefix + name for name in given), settings)
    if "model" in given and "models" in given:
        raise InvalidAnnotation(f"{prefix}model", given["model"], f"only one of {prefix}model and {prefix}models")
    if "model" not in given and "models" not in given:
        idle = ", ".join(prefix + name for name in given if name in _BY_NAME)
        return PodRequest(
            warnings=(*warnings, f"{idle}: without {prefix}model nothing is injected") if idle else warnings
        )
    values = {
        name: _value(_BY_NAME[name], text, prefix)
        for name, text in given.items()
        if name in _BY_NAME and name != "models"
    }
    account = values.pop("service-account", None)
    values.pop("inject", None)
    entries = _entries(given["models"], f"{prefix}models") if "models" in given else {prefix: {}}
    requests = (_request({**values, **entry}, settings, place) for place, entry in entries.items())
    return PodRequest(
        models=tuple(_pinned(request, pins.decode(given.get(PINNED))) for request in requests),
        service_account=account,
        warnings=warnings,
    )


def is_asking(annotations: Mapping[str, str], settings: Settings) -> bool:
    """Whether annotations ask for a model, rightly or not."""
    return any(f"{settings.annotation_prefix}/{name}" in annotations for name in ("model", "models"))


def _pinned(request: ModelRequest, held: Pins) -> ModelRequest:
    version = held.version_of(request) if pins.is_floating(request) else None
    return replace(request, pinned=version) if version else request


def unknown(annotations: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """A warning for each annotation under the prefix that nobody knows, with the nearest known name; a few at most."""
    prefix = f"{settings.annotation_prefix}/"
    known = {prefix + name for name in (*_BY_NAME, *WRITTEN)}
    strange = [name for name in annotations if name.startswith(prefix) and name not in known]
    warnings = []
    for name in strange[:_MAX_WARNINGS]:
        shown = name[: len(prefix) + 63]
        near = difflib.get_close_matches(shown.removeprefix(prefix), _BY_NAME, 1)
        warnings.append(f"unknown annotation {shown}" + (f"; did you mean {prefix}{near[0]}?" if near else ""))
    if len(strange) > _MAX_WARNINGS:
        warnings.append(f"{len(strange) - _MAX_WARNINGS} more unknown annotations under {prefix}")
    return tuple(warnings)


def _value(annotation: Annotation, text: str, prefix: str) -> Any:
    return _parsed(annotation, text, prefix + annotation.name)


def _parsed(annotation: Annotation, text: str, place: str) -> Any:
    if len(text) > _MAX_TEXT:
        raise InvalidAnnotation(place, text, f"at most {_MAX_TEXT} characters")
    try:
        return annotation.parse(text)
    except ValueError as error:
        raise InvalidAnnotation(place, text, annotation.allowed) from error


def _entries(text: str, annotation: str) -> dict[str, dict[str, Any]]:
    """The entries of `models`, parsed, by the place that a message names them with."""
    entries = _load(text, annotation)
    if not isinstance(entries, list) or not entries or len(entries) > _MAX_MODELS:
        raise InvalidAnnotation(annotation, text, f"{_BY_NAME['models'].allowed}, of 1 to {_MAX_MODELS} models")
    return {f"{annotation}[{index}].": _entry(entry, f"{annotation}[{index}]") for index, entry in enumerate(entries)}


def _entry(entry: object, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or "model" not in entry:
        raise InvalidAnnotation(place, str(entry), "a mapping such as {model: my-model, version: 1.2.3}")
    values = {}
    for key, value in entry.items():
        annotation = _BY_KEY.get(key) if isinstance(key, str) else None
        if annotation is None:
            near = difflib.get_close_matches(str(key)[:63], _BY_KEY, 1)
            raise InvalidAnnotation(place, str(key), f"{near[0]}" if near else f"one of {', '.join(_BY_KEY)}")
        if key == "containers" and isinstance(value, list) and value:
            value = ",".join(map(str, value))  # noqa: PLW2901 - a list is what people write in YAML
        if not isinstance(value, str):
            raise InvalidAnnotation(f"{place}.{key}", str(value), annotation.allowed)
        values[annotation.name] = _parsed(annotation, value, f"{place}.{key}")
    return values


def _load(text: str, annotation: str) -> object:
    """YAML whose scalars stay text (`1.10` is no number), without aliases, of bounded size and depth."""
    if len(text) > _MAX_MODELS_TEXT:
        raise InvalidAnnotation(annotation, text, f"at most {_MAX_MODELS_TEXT} characters")
    depth = 0
    try:
        for event in yaml.parse(text, yaml.CBaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _MAX_MODELS_DEPTH:
                raise InvalidAnnotation(annotation, text, "a YAML list of flat mappings, without aliases")
        return yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - the base loader makes nothing but text, lists and dicts
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidAnnotation(annotation, text, f"valid YAML: {' '.join(str(error).split())}") from error


def _request(values: Mapping[str, Any], settings: Settings, place: str) -> ModelRequest:
    model_path = values.get("model-path")
    request = ModelRequest(
        model=values["model"],
        version=values.get("version", settings.defaults.version),
        is_default_version="version" not in values,
        source=values.get("source", DEFAULT_SOURCE),
        strategy=values.get("strategy", settings.defaults.strategy),
        mount_path=values.get("mount-path", None if model_path else settings.defaults.mount_path),
        model_path=model_path,
        containers=values.get("containers", ()),
        read_only=values.get("read-only", True),
        volume=values.get("volume"),
        medium=values.get("medium", "disk"),
        size_limit=values.get("size-limit"),
        verify=values.get("verify", settings.defaults.verify),
        timeout=values.get("timeout", settings.fetch.timeout),
        fetch_cpu_request=values.get("fetch-cpu-request", settings.fetch.resources.requests.cpu),
        fetch_cpu_limit=values.get("fetch-cpu-limit", settings.fetch.resources.limits.cpu),
        fetch_memory_request=values.get("fetch-memory-request", settings.fetch.resources.requests.memory),
        fetch_memory_limit=values.get("fetch-memory-limit", settings.fetch.resources.limits.memory),
        pinned=None,
        place=place,
    )
    if not request.version:
        raise InvalidAnnotation(request.where("version"), None, _BY_NAME["version"].allowed)
    if request.source not in settings.all_sources:
        raise InvalidAnnotation(request.where("source"), request.source, " or ".join(settings.all_sources))
    for ours in ("medium", "size-limit"):
        if "volume" in values and ours in values:
            allowed = f"none beside {request.where('volume')}, for it is about a volume of ours"
            raise InvalidAnnotation(request.where(ours), str(values[ours]), allowed)
    return request
