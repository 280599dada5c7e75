"""The chart's values.schema.json: the webhook's own settings, and what only the chart has.

Draft 7, which every Helm that the chart supports can read. Objects are closed, so a misspelt key is a fault; `global`
and `enabled` are there for a chart of which this one is a part.
"""

import json
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import Lifetime, Seconds
from webhook.settings import Settings

Object: TypeAlias = dict[str, Any]
Strings: TypeAlias = dict[str, str]
Objects: TypeAlias = list[Object]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Name: TypeAlias = Annotated[str, Field(pattern=f"^{SUBDOMAIN}$", max_length=63)]
ServiceName: TypeAlias = Annotated[str, Field(pattern=r"^([a-z]([a-z0-9-]*[a-z0-9])?)?$", max_length=63)]
Percent: TypeAlias = Annotated[str, Field(pattern=r"^\d{1,3}%$")]
OF_THE_CHART: Final = ("server", "certificates")
"""Settings of which the chart has a group of the same name, but not all of it: the rest follows from the release."""


class _Group(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Server(_Group):
    port: Port
    ops_port: Port
    drain: Annotated[int, Field(ge=1, le=300)]


class CertManager(_Group):
    issuer_ref: Object
    duration: str
    renew_before: str


class Provided(_Group):
    secret_name: str
    ca_bundle: str


class Certificates(_Group):
    mode: Literal["auto", "cert-manager", "provided"]
    ca_lifetime: Lifetime | Literal[""]
    leaf_lifetime: Lifetime | Literal[""]
    overlap: Seconds | Literal[""]
    cert_manager: CertManager
    provided: Provided


class Selector(_Group):
    match_labels: Strings = {}
    match_expressions: Objects = []


class Webhook(_Group):
    name: Name
    failure_policy: Literal["Fail", "Ignore"]
    timeout_seconds: Annotated[int, Field(ge=1, le=10)]
    reinvocation_policy: Literal["IfNeeded", "Never"]
    select: Literal["annotations", "label"]
    opt_in: bool
    workloads: bool
    namespace_selector: Selector
    object_selector: Selector
    match_conditions: Objects
    annotations: Strings


class Guard(_Group):
    enabled: bool
    validation_actions: list[Literal["Deny", "Warn", "Audit"]]
    credentials: bool


class Image(_Group):
    repository: str
    tag: str
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    pull_policy: Literal["Always", "IfNotPresent", "Never"]


class ServiceAccount(_Group):
    create: bool
    name: str
    annotations: Strings


class PodDisruptionBudget(_Group):
    enabled: bool
    max_unavailable: Annotated[int, Field(ge=0)] | Percent


class Service(_Group):
    annotations: Strings


class Autoscaling(_Group):
    enabled: bool
    min_replicas: Annotated[int, Field(ge=1)]
    max_replicas: Annotated[int, Field(ge=1)]
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, alias="targetCPUUtilizationPercentage")]


class NetworkPolicy(_Group):
    enabled: bool
    ops_from: Objects
    egress: Objects


class ServiceMonitor(_Group):
    enabled: bool
    labels: Strings
    interval: str


class PrometheusRule(_Group):
    enabled: bool
    labels: Strings
    certificate_expiry_hours: Annotated[int, Field(ge=1)]


class Dashboard(_Group):
    enabled: bool
    labels: Strings
    annotations: Strings


class Test(_Group):
    namespace: Name
    service_account_name: str
    annotations: Strings


class Values(_Group):
    """What only the chart has."""

    server: Server
    certificates: Certificates
    webhook: Webhook
    guard: Guard
    replica_count: Annotated[int, Field(ge=1)]
    image: Image
    image_pull_secrets: Objects
    name_override: ServiceName
    fullname_override: ServiceName
    service_account: ServiceAccount
    common_labels: Strings
    annotations: Strings
    pod_annotations: Strings
    pod_labels: Strings
    resources: Object
    env: Objects
    volumes: Objects
    volume_mounts: Objects
    pod_security_context: Object
    security_context: Object
    priority_class_name: str
    strategy: Object
    pod_disruption_budget: PodDisruptionBudget
    topology_spread_constraints: Objects
    affinity: Object
    node_selector: Strings
    tolerations: Objects
    host_network: bool
    dns_policy: Literal["", "ClusterFirst", "ClusterFirstWithHostNet", "Default"]
    service: Service
    autoscaling: Autoscaling
    network_policy: NetworkPolicy
    service_monitor: ServiceMonitor
    prometheus_rule: PrometheusRule
    dashboard: Dashboard
    test: Test


def values_schema() -> str:
    """The file's content."""
    settings = {
        name: (field.annotation, field) for name, field in Settings.model_fields.items() if name not in OF_THE_CHART
    }
    whole = create_model("Everything", __base__=Values, **settings)  # type: ignore[call-overload]
    schema = whole.model_json_schema(by_alias=True)
    schema["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    schema["properties"]["layout"] = {"enum": ["", *schema["properties"]["layout"]["enum"]]}
    # Groups and numbers can't be dropped with a null; lists and mappings that are empty by default can.
    schema["required"] = [
        "annotationPrefix",
        *(each for each in schema["required"] if _stays(schema["properties"][each])),
    ]
    found = _without(schema, {"title", "default"})
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **found}, indent=2) + "\n"


def _stays(schema: Any) -> bool:
    return "$ref" in schema or schema.get("type") in ("integer", "boolean")


def _without(schema: Any, keys: set[str]) -> Any:
    """A schema without these keywords: titles say nothing, and defaults stand in values.yaml and docs/settings.md."""
    if isinstance(schema, list):
        return [_without(each, keys) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without(each, keys) for name, each in value.items()}
        if key in ("properties", "$defs")
        else _without(value, keys)
        for key, value in schema.items()
        if key not in keys
    }
