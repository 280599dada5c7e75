"""Validation of custom resources against the schemas of their definitions, as API servers do it."""

import re
from collections.abc import Iterator
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_ENVIRONMENT = cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=[ext_strings.ExtStrings()])


def faults(value: Any, schema: dict[str, Any], path: str = "spec") -> Iterator[str]:
    """What is wrong with a value: types, fields that are missing or unknown, patterns, amounts, and rules in CEL.

    Rules about an update, and with `find`, which only API servers know, are skipped.
    """
    expected = _TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        yield f"{path}: {value!r} is no {schema['type']}"
        return
    if value not in schema.get("enum", [value]):
        yield f"{path}: {value!r} is not allowed"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{path}: {value!r} does not match {schema['pattern']}"
    yield from _amounts(value, schema, path)
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from faults(each, schema["items"], f"{path}[{index}]")
    if isinstance(value, dict):
        yield from _fields(value, schema, path)
    yield from _rules(value, schema, path)


def _fields(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value)
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, each in value.items():
        if name in known or others:
            yield from faults(each, known.get(name, others), f"{path}.{name}")
        else:
            yield f"{path}: {name} is unknown"


def _rules(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and ".find(" not in rule["rule"]:
            result = _ENVIRONMENT.compile(rule["rule"]).eval(data={"self": value}).plain_value()
            if result is not True:
                yield f"{path}: {rule.get('message', rule['rule'])}: {result}"


def _amounts(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    kinds: dict[type, str] = {str: "Length", list: "Items", dict: "Properties"}
    kind = kinds.get(type(value))
    if kind and not schema.get(f"min{kind}", 0) <= len(value) <= schema.get(f"max{kind}", len(value)):
        yield f"{path}: {len(value)} is not allowed as its {kind.lower()}"
