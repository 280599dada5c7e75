"""From a pod's annotations to a PodRequest."""

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import yaml
from msgspec.structs import replace

from webhook.annotations import pinned as pins
from webhook.annotations.contract import BY_KEY, BY_NAME, WRITTEN, Annotation, parsed
from webhook.annotations.pinned import PINNED, Pins
from webhook.errors import InvalidAnnotation
from webhook.model.request import ModelRequest, PodRequest
from webhook.settings import DEFAULT_SOURCE, Settings

_MAX_MODELS: Final = 32
_MAX_MODELS_TEXT: Final = 32 * 1024
_MAX_MODELS_DEPTH: Final = 3  # a list of mappings of lists
_MAX_WARNINGS: Final = 8
_MAX_MEMORISED_TEXT: Final = 4 * 1024


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
    if "inject" in given and not _value(BY_NAME["inject"], given["inject"], prefix):
        return PodRequest(opted_out=True)
    warnings = unknown((prefix + name for name in given), settings)
    if "model" in given and "models" in given:
        raise InvalidAnnotation(f"{prefix}model", given["model"], f"only one of {prefix}model and {prefix}models")
    if "model" not in given and "models" not in given:
        idle = ", ".join(prefix + name for name in given if name in BY_NAME)
        return PodRequest(
            warnings=(*warnings, f"{idle}: without {prefix}model nothing is injected") if idle else warnings
        )
    values = {
        name: _value(BY_NAME[name], text, prefix)
        for name, text in given.items()
        if name in BY_NAME and name != "models"
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
    known = {prefix + name for name in (*BY_NAME, *WRITTEN)}
    strange = [name for name in annotations if name.startswith(prefix) and name not in known]
    warnings = []
    for name in strange[:_MAX_WARNINGS]:
        shown = name[: len(prefix) + 63]
        near = difflib.get_close_matches(shown.removeprefix(prefix), BY_NAME, 1)
        warnings.append(f"unknown annotation {shown}" + (f"; did you mean {prefix}{near[0]}?" if near else ""))
    if len(strange) > _MAX_WARNINGS:
        warnings.append(f"{len(strange) - _MAX_WARNINGS} more unknown annotations under {prefix}")
    return tuple(warnings)


def _value(annotation: Annotation, text: str, prefix: str) -> Any:
    return parsed(annotation, text, prefix + annotation.name)


def _entries(text: str, annotation: str) -> dict[str, dict[str, Any]]:
    """The entries of `models`, parsed, by the place that a message names them with."""
    entries = _load(text, annotation)
    if not isinstance(entries, list) or not entries or len(entries) > _MAX_MODELS:
        raise InvalidAnnotation(annotation, text, f"{BY_NAME['models'].allowed}, of 1 to {_MAX_MODELS} models")
    return {f"{annotation}[{index}].": _entry(entry, f"{annotation}[{index}]") for index, entry in enumerate(entries)}


def _entry(entry: object, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or "model" not in entry:
        raise InvalidAnnotation(place, str(entry), "a mapping such as {model: my-model, version: 1.2.3}")
    values = {}
    for key, value in entry.items():
        annotation = BY_KEY.get(key) if isinstance(key, str) else None
        if annotation is None:
            near = difflib.get_close_matches(str(key)[:63], BY_KEY, 1)
            raise InvalidAnnotation(place, str(key), f"{near[0]}" if near else f"one of {', '.join(BY_KEY)}")
        if key == "containers" and isinstance(value, list) and value:
            value = ",".join(map(str, value))  # noqa: PLW2901 - a list is what people write in YAML
        if not isinstance(value, str):
            raise InvalidAnnotation(f"{place}.{key}", str(value), annotation.allowed)
        values[annotation.name] = parsed(annotation, value, f"{place}.{key}")
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
        raise InvalidAnnotation(request.where("version"), None, BY_NAME["version"].allowed)
    if request.source not in settings.all_sources:
        raise InvalidAnnotation(request.where("source"), request.source, " or ".join(settings.all_sources))
    for ours in ("medium", "size-limit"):
        if "volume" in values and ours in values:
            allowed = f"none beside {request.where('volume')}, for it is about a volume of ours"
            raise InvalidAnnotation(request.where(ours), str(values[ours]), allowed)
    return request
