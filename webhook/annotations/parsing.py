"""Parsing a pod's annotations into a PodRequest."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from msgspec.structs import replace

from webhook import strategies as known_strategies
from webhook.annotations import pinned as pins
from webhook.annotations.contract import ANNOTATIONS, BY_NAME, FOLLOW, WRITTEN, parsed
from webhook.annotations.entries import parse_entries
from webhook.annotations.pinned import PINNED, Pins
from webhook.fields.globs import matches
from webhook.model.refusals import InvalidAnnotation
from webhook.model.request import ModelRequest, PodRequest
from webhook.model.source import DEFAULT_SOURCE
from webhook.settings import Settings, setting_at
from webhook.strategies import STRATEGIES, parse_strategies
from webhook.strategies.strategy import Strategy

_MAX_WARNINGS: Final = 8
_MAX_CACHED_TEXT: Final = 4 * 1024
_OF_STRATEGIES: Final = frozenset(annotation.name for annotation in known_strategies.ANNOTATIONS)


def parse(annotations: Mapping[str, str], settings: Settings, namespace: str = "") -> PodRequest:
    """Parse the annotations of a pod. The namespace decides, together with the model, which strategy is the default.

    Raises InvalidAnnotation, which names the annotation, its value and what is allowed. Unknown annotations under the
    prefix, and those without an effect, result in warnings.
    """
    prefix = f"{settings.annotation_prefix}/"
    given = tuple((name.removeprefix(prefix), value) for name, value in annotations.items() if name.startswith(prefix))
    if not given:
        return PodRequest()
    if sum(map(len, chain.from_iterable(given))) > _MAX_CACHED_TEXT:
        return _parse(dict(given), settings, namespace)
    return _parse_cached(given, settings, namespace if settings.defaults.strategy_rules else "")


@lru_cache(maxsize=1024)
def _parse_cached(given: tuple[tuple[str, str], ...], settings: Settings, namespace: str) -> PodRequest:
    """Cached, because all pods of a workload have the same annotations."""
    return _parse(dict(given), settings, namespace)


def _parse(given: Mapping[str, str], settings: Settings, namespace: str) -> PodRequest:
    prefix = f"{settings.annotation_prefix}/"
    if "inject" in given and not parsed(BY_NAME["inject"], given["inject"], f"{prefix}inject"):
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
        name: parsed(BY_NAME[name], text, prefix + name)
        for name, text in given.items()
        if name in BY_NAME and name != "models"
    }
    account = values.pop("service-account", None)
    values.pop("inject", None)
    follow = values.pop(FOLLOW, "false")
    entries = parse_entries(given["models"], f"{prefix}models") if "models" in given else {prefix: {}}
    requests = [
        _request(
            {**values, **entry},
            settings,
            path,
            namespace,
            shares_env_prefix=len(entries) > 1 and "env-prefix" not in entry,
        )
        for path, entry in entries.items()
    ]
    if follow != "false" and not any(map(pins.is_floating, requests)):
        problem = "does nothing: an exact version never changes; ask for an alias, a range or latest"
        warnings = (*warnings, f"{prefix}{FOLLOW} {problem}")
    of_entries = (_idle(entry, [model], model.where) for entry, model in zip(entries.values(), requests, strict=True))
    existing = pins.decode(given.get(PINNED))
    return PodRequest(
        models=tuple(_pinned(request, existing) for request in requests),
        service_account=account,
        follow=follow,
        warnings=(*warnings, *_idle(values, requests, prefix.__add__), *chain.from_iterable(of_entries)),
    )


def is_asking(annotations: Mapping[str, str], settings: Settings) -> bool:
    """Whether annotations ask for a model, even if they are invalid."""
    return any(f"{settings.annotation_prefix}/{name}" in annotations for name in ("model", "models"))


def is_following(annotations: Mapping[str, str], settings: Settings) -> bool:
    """Whether annotations ask for a model, and to follow what its reference means, even if others are invalid."""
    prefix = settings.annotation_prefix
    follows = annotations.get(f"{prefix}/{FOLLOW}", "").strip() in ("true", "canary")
    is_opted_out = annotations.get(f"{prefix}/inject", "").strip() == "false"
    return follows and not is_opted_out and is_asking(annotations, settings)


def _pinned(request: ModelRequest, existing: Pins) -> ModelRequest:
    pin = existing.pin_of(request) if pins.needs_pin(request) else None
    if pin is None:
        return request
    version = pin.version if pins.is_floating(request) else None
    return replace(request, pinned_version=version, pinned_strategy=pin.strategy_for(request))


def unknown(annotations: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Warnings about unknown annotations under the prefix, with the nearest known name. Limited in number."""
    prefix = f"{settings.annotation_prefix}/"
    known = {prefix + name for name in (*BY_NAME, *WRITTEN)}
    others = [name for name in annotations if name.startswith(prefix) and name not in known]
    warnings = []
    for name in others[:_MAX_WARNINGS]:
        shown = name[: len(prefix) + 63]
        near = difflib.get_close_matches(shown.removeprefix(prefix), BY_NAME, 1)
        warnings.append(f"unknown annotation {shown}" + (f"; did you mean {prefix}{near[0]}?" if near else ""))
    if len(others) > _MAX_WARNINGS:
        warnings.append(f"{len(others) - _MAX_WARNINGS} more unknown annotations under {prefix}")
    return tuple(warnings)


def _default_strategies(model: str, namespace: str, settings: Settings) -> tuple[str, ...]:
    """The strategies of a model whose annotations name none."""
    for rule in settings.defaults.strategy_rules:
        if matches(namespace, rule.namespaces) and matches(model, rule.models):
            return parse_strategies(rule.strategy)
    return parse_strategies(settings.defaults.strategy)


def _request(
    values: Mapping[str, Any],
    settings: Settings,
    path_prefix: str,
    namespace: str,
    *,
    shares_env_prefix: bool,
) -> ModelRequest:
    model_path = values.get("model-path")
    strategies = values.get("strategy") or _default_strategies(values["model"], namespace, settings)
    request = ModelRequest(
        model=values["model"],
        version=values.get("version", settings.defaults.version),
        is_default_version="version" not in values,
        source=values.get("source", DEFAULT_SOURCE),
        strategies=strategies,
        is_default_strategy="strategy" not in values,
        options=tuple(_options(STRATEGIES[name], values, settings) for name in strategies),
        mount_path=values.get("mount-path", None if model_path else settings.defaults.mount_path),
        model_path=model_path,
        containers=values.get("containers", ()),
        env_prefix=values.get("env-prefix", settings.defaults.env_prefix),
        shares_env_prefix=shares_env_prefix,
        read_only=values.get("read-only", True),
        pinned_version=None,
        pinned_strategy=None,
        path_prefix=path_prefix,
    )
    if not request.version:
        raise InvalidAnnotation(request.where("version"), None, BY_NAME["version"].allowed)
    if request.source not in settings.all_sources:
        raise InvalidAnnotation(request.where("source"), request.source, " or ".join(settings.all_sources))
    for annotation in ANNOTATIONS:
        if annotation.without in values and annotation.name in values:
            allowed = f"only one of {request.where(annotation.name)} and {request.where(annotation.without)}"
            raise InvalidAnnotation(request.where(annotation.name), str(values[annotation.name]), allowed)
    return request


def _options(strategy: Strategy, values: Mapping[str, Any], settings: Settings) -> Any:
    """A strategy's options: the values of its annotations, else of their settings, else the strategy's defaults."""
    fields = {
        annotation.field: values[annotation.name]
        if annotation.name in values
        else setting_at(annotation.setting, settings)
        for annotation in strategy.annotations
        if annotation.name in values or annotation.setting
    }
    return strategy.options(**fields)


def _idle(values: Iterable[str], requests: Sequence[ModelRequest], where: Callable[[str], str]) -> Iterator[str]:
    """Warnings about annotations, of the pod or of an entry, of strategies that none of the requests asks for."""
    used = dict.fromkeys(chain.from_iterable(request.strategies for request in requests))
    known = {annotation.name for name in used for annotation in STRATEGIES[name].annotations}
    for name in values:
        if name in _OF_STRATEGIES and name not in known:
            yield f"{where(name)} does nothing with the strategy {', '.join(used)}"
