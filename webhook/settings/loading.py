"""Loading settings from a YAML file and the environment."""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Final, NamedTuple, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from yaml.parser import ParserError
from yaml.scanner import ScannerError

from webhook.errors import InjectorError
from webhook.settings import ENVIRONMENT_PREFIX, ServerSettings, Settings

_SERVICE_LINK: Final = re.compile(r"MODEL_INJECTOR_(\w+_)?(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)")
"""Variables that Kubernetes sets in containers for a Service whose name begins with `model-injector`."""


class InvalidSettings(InjectorError):
    """A setting is unknown or has an invalid value. The message is one line and names the setting."""


class Setting(NamedTuple):
    """One setting: `path` as in the file (`fetch.numWorkers`), `variable` as in the environment."""

    path: str
    variable: str
    field: FieldInfo
    default: object


def declared() -> Iterator[Setting]:
    """All settings, in the order of their declaration. Groups are replaced by their settings."""
    return _declared(Settings.model_construct(), "", ENVIRONMENT_PREFIX)


def _declared(defaults: BaseModel, path: str, variable: str) -> Iterator[Setting]:
    for name, field in type(defaults).model_fields.items():
        default = getattr(defaults, name)
        setting = Setting(f"{path}{field.alias or to_camel(name)}", f"{variable}{name.upper()}", field, default)
        if isinstance(default, BaseModel):
            yield from _declared(default, f"{setting.path}.", f"{setting.variable}__")
        else:
            yield setting


def load(file: Path | None = None, server: Mapping[str, object] | None = None) -> Settings:
    """Load settings from the environment and, if given, a YAML file. Raises InvalidSettings.

    The file contains settings, or the values of the chart, whose key `config` contains them. The environment takes
    precedence over the file, and `server` over both: fields of the group of that name, from a command's options.
    """
    document = _settings_in(_read(file)) if file else {}
    _check_environment()
    try:
        settings = Settings(**_by_field_name(document, Settings))
        group = ServerSettings.model_validate({**settings.server.model_dump(), **(server or {})})
        return settings.model_copy(update={"server": group})
    except ValidationError as error:
        raise InvalidSettings("; ".join(_describe(entry) for entry in error.errors(include_url=False))) from error


def _check_environment() -> None:
    """Raise InvalidSettings for variables that pydantic would ignore, or report without the variable's name."""
    known = {setting.variable: setting for setting in declared()}
    for variable, value in os.environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        if variable not in known:
            if _SERVICE_LINK.fullmatch(variable):
                continue
            raise InvalidSettings(f"unknown setting in the environment: {variable}{_nearest(variable, set(known))}")
        if get_origin(known[variable].field.annotation) in (dict, tuple):
            try:
                json.loads(value)
            except ValueError as error:
                raise InvalidSettings(f"the value of {variable} has to be JSON: {error}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text())
    except OSError as error:
        raise InvalidSettings(f"{file}: {error.strerror}") from error
    except (ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise InvalidSettings(f"{file} is not YAML{_place(error)}") from None  # the error quotes the file's lines
    if not isinstance(document, dict | None):
        raise InvalidSettings(f"{file}: settings have to be a mapping, such as `bucket: my-ml-bucket`")
    return document or {}


def _place(error: Exception) -> str:
    """Where the YAML is invalid, and why. Quotes at most one character of the file, which may contain secrets."""
    if isinstance(error, UnicodeDecodeError):
        return f": byte {error.start} is not UTF-8"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    is_constant = isinstance(error, ScannerError | ParserError)  # others quote names of anchors and tags
    place = f": line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    return f"{place}: {error.problem}" if is_constant else place


def _settings_in(document: dict[str, Any]) -> dict[str, Any]:
    """The settings in a settings file, or in the chart's values, which only have the key `config`."""
    config = document.get("config")
    if not isinstance(config, dict):
        return _without_nulls(document, _nullable())
    # `certificates` and `controller` are also groups of the chart's values.
    settings = {field.alias for field in Settings.model_fields.values()} - {"certificates", "controller"}
    for key in document:
        if key in settings:
            raise InvalidSettings(f"setting {key} is outside config: set config.{key}")
    return _without_nulls({**config, **_of_webhook(document)}, _nullable())


def _of_webhook(values: dict[str, Any]) -> dict[str, Any]:
    """The setting that the chart derives from its value `webhook.workloads`."""
    webhook = _mapping(values, "webhook")
    workloads = _mapping(webhook, "workloads")
    is_on = workloads.get("enabled", True) and webhook.get("select", "annotations") == "annotations"
    return {"workloads": {"kinds": workloads["kinds"]}} if is_on and workloads.get("kinds") else {}


def _mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _nullable() -> frozenset[str]:
    """The paths of the settings for which null is a value other than the default."""
    return frozenset(
        setting.path
        for setting in declared()
        if setting.default is not None and NoneType in get_args(setting.field.annotation)
    )


def _without_nulls(values: dict[str, Any], nullable: frozenset[str], path: str = "") -> dict[str, Any]:
    """Remove null values: YAML reads an empty group as null, and Helm removes keys whose value is null."""
    return {
        key: _without_nulls(value, nullable, f"{path}{key}.") if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None or f"{path}{key}" in nullable
    }


def _by_field_name(document: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Rename the file's camelCase keys to the names of fields, so that they merge with the environment's values."""
    names = {field.alias: name for name, field in model.model_fields.items()}
    renamed = {}
    for key, value in document.items():
        if str(key).startswith("_"):  # reserved for arguments of pydantic-settings
            raise InvalidSettings(f"unknown setting {key}")
        name = names.get(key, str(key))
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, BaseModel):
            renamed[name] = _by_field_name(value, inner)
        else:
            renamed[name] = value
    return renamed


def _describe(error: Any) -> str:
    path = ".".join(_aliases([str(part) for part in error["loc"] if part != "[key]"], Settings))
    if error["type"] == "extra_forbidden":
        return f"unknown setting {path}{_nearest(path, {setting.path for setting in declared()})}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"setting {path}: {message}" if path else message


def _aliases(parts: Sequence[str], model: object) -> Iterator[str]:
    """The parts of a setting's path as the file has them: `s3-mount` for the field `s3_mount`."""
    for part in parts:
        fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        field = fields.get(part)
        yield (field.alias if field else None) or (to_camel(part) if "_" in part else part)
        model = field.annotation if field else None


def _nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
