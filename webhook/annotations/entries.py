"""Parsing the annotation `models`, a YAML list with an entry for each model."""

import difflib
import re
from collections.abc import Hashable
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError

from webhook.annotations.contract import BY_KEY, BY_NAME, check_filled, parsed
from webhook.model.refusals import InvalidAnnotation

_MAX_MODELS: Final = 32
_MAX_MODELS_TEXT: Final = 32 * 1024
_MAX_MODELS_DEPTH: Final = 3  # a list of mappings of lists
_NULL: Final = "tag:yaml.org,2002:null"


class _Loader(yaml.CBaseLoader):
    """Loads scalars as text, or as None if they are null and not quoted. Refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise ConstructorError(None, None, "a key is there twice", node.start_mark)
        return mapping


_Loader.add_implicit_resolver(_NULL, re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_constructor(_NULL, lambda _loader, _node: None)


def parse_entries(text: str, annotation: str) -> dict[str, dict[str, Any]]:
    """The parsed entries of `models`: values by annotation name, by the entry's path in messages, `…/models[0].`."""
    try:
        entries = _load(text, annotation)
    except InvalidAnnotation:
        check_filled(BY_NAME["models"], text, annotation)
        raise
    return {f"{annotation}[{index}].": _entry(entry, f"{annotation}[{index}]") for index, entry in enumerate(entries)}


def _entry(entry: object, path: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or "model" not in entry:
        raise InvalidAnnotation(
            path, "null" if entry is None else str(entry), "a mapping such as {model: my-model, version: 1.2.3}"
        )
    values = {}
    for key, value in entry.items():
        annotation = BY_KEY.get(key) if isinstance(key, str) else None
        if annotation is None:
            near = difflib.get_close_matches(str(key)[:63], BY_KEY, 1)
            raise InvalidAnnotation(path, str(key), f"{near[0]}" if near else f"one of {', '.join(BY_KEY)}")
        if annotation.is_list and isinstance(value, list) and value and None not in value:
            value = ",".join(map(str, value))  # noqa: PLW2901 - YAML lists are accepted as comma-separated text
        if value is None:
            problem = "is how YAML reads ~, null and an empty value; set it, or quote it if it is text"
            raise InvalidAnnotation(f"{path}.{key}", "null", annotation.allowed, problem)
        if not isinstance(value, str):
            raise InvalidAnnotation(f"{path}.{key}", str(value), annotation.allowed)
        values[annotation.name] = parsed(annotation, value, f"{path}.{key}")
    return values


def _load(text: str, annotation: str) -> list[Any]:
    """Load a YAML list of limited size and depth, without aliases. Scalars are text or null: `1.10` is not a number."""
    if len(text) > _MAX_MODELS_TEXT:
        raise InvalidAnnotation(annotation, text, f"at most {_MAX_MODELS_TEXT} characters")
    depth = 0
    try:
        for event in yaml.parse(text, yaml.CBaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _MAX_MODELS_DEPTH:
                raise InvalidAnnotation(annotation, text, "a YAML list of flat mappings, without aliases")
        entries = yaml.load(text, _Loader)  # noqa: S506 - it only creates text, null, lists and dicts
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidAnnotation(annotation, text, f"valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list) or not 0 < len(entries) <= _MAX_MODELS:
        raise InvalidAnnotation(annotation, text, f"{BY_NAME['models'].allowed}, of 1 to {_MAX_MODELS} models")
    return entries
