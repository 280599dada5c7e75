"""The init container that downloads."""

import re
from typing import Annotated, Any, Final, Self

from pydantic import Field, WithJsonSchema, model_validator

from webhook.fields.group import Group
from webhook.fields.types import Quantity, Seconds
from webhook.kubernetes.quantities import parse_quantity

_ENV: Final = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "value": {"type": "string"},
        "valueFrom": {"type": "object"},
    },
    "additionalProperties": False,
}


class ResourceList(Group):
    """Quantities of one kind, requests or limits."""

    cpu: Quantity | None = None
    """Processor time."""
    memory: Quantity | None = None
    """Memory."""


class FetchResources(Group):
    """Resources of the init containers."""

    requests: ResourceList = ResourceList(cpu="100m", memory="64Mi")
    """Small, for a pod's request is the larger of its init containers' and its containers', not their sum."""
    limits: ResourceList = ResourceList(memory="256Mi")
    """Several times what s5cmd takes with the numbers below; no limit of CPU, for it only makes a start slower."""

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for resource in ResourceList.model_fields:
            request, limit = getattr(self.requests, resource), getattr(self.limits, resource)
            if request and limit and parse_quantity(request) > parse_quantity(limit):
                raise ValueError(f"requests.{resource} {request} is more than limits.{resource} {limit}")
        return self


class FetchSettings(Group):
    """The init container that downloads."""

    image: str = Field(default="peakcom/s5cmd:v2.3.0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    """The stock image of s5cmd, pinned: a moving tag would change every pod of the cluster at a time nobody chose."""
    timeout: Seconds = 30 * 60
    """How long a download may take, retries included (`30m`): a stalled one must end and say so."""
    num_workers: int = Field(default=32, ge=1, le=1024)
    """Files at a time. s5cmd's own 256 was slower and took more memory on small nodes."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Parts at a time of one file. Models are few and large, so more than s5cmd's own 5."""
    size_headroom: int = Field(default=10, ge=0, le=1000)
    """Percent by which a volume may be larger than its models, where the catalog knows their size: for what the
    application writes beside them, and for a folder without a manifest that grows."""
    run_as_user: int = Field(default=65532, ge=1)
    """The numeric user of the init container where the pod names none; the stock image would run as root."""
    resources: FetchResources = FetchResources()
    """Its resources; a pod's annotations override each."""
    ca_bundle: str = Field(
        default="",
        max_length=64 * 1024,  # Linux takes no variable of more than twice that
        pattern=r"^(\s*|\s*(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*)+)$",
    )
    """Certificates (PEM) that it trusts besides the image's: for a private endpoint or a proxy that looks inside TLS.
    They travel in the pod, so that no ConfigMap is needed in anyone's namespace."""
    env: tuple[Annotated[dict[str, Any], WithJsonSchema(_ENV)], ...] = ()
    """More environment, as a container has it (`name` and `value`, or `valueFrom`): proxies, credentials of a store
    that is not AWS."""

    __hash__ = object.__hash__  # a process has one of it, and plans are cached by it

    @model_validator(mode="after")
    def _env_is_kubernetes(self) -> Self:
        for entry in self.env:
            name, rest = entry.get("name"), entry.keys() - {"name"}
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError("env: each entry needs a name, such as HTTPS_PROXY")
            value, source = entry.get("value", ""), entry.get("valueFrom", {})
            if rest not in ({"value"}, {"valueFrom"}) or not isinstance(value, str) or not isinstance(source, dict):
                raise ValueError(f"env: {name} needs a value (a string) or a valueFrom (a mapping), and nothing else")
        return self
