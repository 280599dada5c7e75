"""Settings of the init containers that download models."""

import re
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

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


def _null(value: object) -> object:
    """None for `null`, as an environment variable spells it."""
    return None if value == "null" else value


class ResourceList(Group):
    """Resource requests or limits."""

    cpu: Quantity | None = None
    """A quantity of CPU, such as `500m`."""
    memory: Quantity | None = None
    """A quantity of memory, such as `256Mi`."""


class FetchResources(Group):
    """Resource requests and limits of the init containers."""

    requests: ResourceList = ResourceList(cpu="100m", memory="64Mi")
    """A pod requests the maximum of its init containers and its containers, not the sum, so these rarely matter."""
    limits: ResourceList = ResourceList(memory="256Mi")
    """The memory limit is several times what s5cmd uses with the default settings. There is no CPU limit by default,
    because it would only slow the start of the pod."""

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for resource in ResourceList.model_fields:
            request, limit = getattr(self.requests, resource), getattr(self.limits, resource)
            if request and limit and parse_quantity(request) > parse_quantity(limit):
                raise ValueError(
                    f"requests.{resource} {request} is more than limits.{resource} {limit}; lower the request"
                )
        return self


class FetchSettings(Group):
    """Settings of the init containers that download models."""

    image: str = Field(default="peakcom/s5cmd:v2.3.0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    """The official image of s5cmd. The tag is pinned, because a moving tag could change all pods at any time."""
    timeout: Seconds = 30 * 60
    """The maximum duration of a download, retries included (`30m`), after which a stalled download fails."""
    num_workers: int = Field(default=32, ge=1, le=1024)
    """Files that are downloaded in parallel. s5cmd's default, 256, was slower and used more memory on small nodes."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Parts of one file that are downloaded in parallel. More than s5cmd's default, 5, because most models are
    few large files."""
    size_headroom: int = Field(default=10, ge=0, le=1000)
    """Percent that a volume's size limit exceeds the size of its models, if the catalog knows the size. Leaves space
    for files that the application writes, and for models without a manifest that grow."""
    run_as_user: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_null)] = 65532
    """The user ID of the init container, if the pod names none. The image's default is root. null: the field is left
    out, for platforms that fill it in and images with a user of their own."""
    resources: FetchResources = FetchResources()
    """Resources of the init container. A pod's annotations override them."""
    ca_bundle: str = Field(
        default="",
        max_length=64 * 1024,  # half of the maximum size of an environment variable on Linux
        pattern=r"^(\s*|\s*(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*)+)$",
    )
    """CA certificates (PEM) to trust in addition to the image's, for a private endpoint or a proxy that intercepts TLS.
    They are part of the pod, so namespaces need no ConfigMap."""
    env: tuple[Annotated[dict[str, Any], WithJsonSchema(_ENV)], ...] = ()
    """Additional environment variables, as in a container: `name`, and `value` or `valueFrom`. For example, proxies, or
    credentials of a store other than AWS."""

    __hash__ = object.__hash__  # settings are created once, and are part of the key of cached plans

    @model_validator(mode="after")
    def _env_is_kubernetes(self) -> Self:
        for entry in self.env:
            name, rest = entry.get("name"), entry.keys() - {"name"}
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"env: the name {name!r} is invalid; use letters, digits and _, such as HTTPS_PROXY")
            value, source = entry.get("value", ""), entry.get("valueFrom", {})
            if rest not in ({"value"}, {"valueFrom"}) or not isinstance(value, str) or not isinstance(source, dict):
                raise ValueError(
                    f"env: {name} is invalid; set either value (a string) or valueFrom (a mapping), and no other key"
                )
        return self
