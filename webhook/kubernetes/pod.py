"""The fields of a Pod that injection reads, typed. Everything else passes unread, and so unchanged.

Types follow the Kubernetes API: a list may be absent or null alike, and both read as None. Decoding fails with the
JSON path of a field whose type is wrong.
"""

import msgspec

from webhook.errors import BadRequest


class VolumeMount(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 VolumeMount."""

    name: str = ""
    mount_path: str = ""
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool | None = None


class EnvVar(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 EnvVar, by name alone: its value is the user's."""

    name: str = ""


class SecurityContext(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What core/v1 SecurityContext and PodSecurityContext share."""

    run_as_user: int | None = None


class ResourceRequirements(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 ResourceRequirements, as quantities."""

    requests: dict[str, str | int | float] | None = None
    limits: dict[str, str | int | float] | None = None


class Container(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Container."""

    name: str = ""
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[EnvVar, ...] | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    security_context: SecurityContext | None = None
    restart_policy: str | None = None
    resources: ResourceRequirements | None = None

    @property
    def is_sidecar(self) -> bool:
        """Whether this init container is a native sidecar: started, and left running beside those after it."""
        return self.restart_policy == "Always"


class Volume(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Volume."""

    name: str = ""


class PodOS(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PodOS."""

    name: str = ""


class PodSpec(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PodSpec."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    security_context: SecurityContext | None = None
    node_selector: dict[str, str] | None = None
    os: PodOS | None = None

    @property
    def is_windows(self) -> bool:
        """Whether the pod asks for Windows nodes."""
        selector = self.node_selector or {}
        return (self.os is not None and self.os.name == "windows") or selector.get("kubernetes.io/os") == "windows"


class ObjectMeta(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """meta/v1 ObjectMeta."""

    name: str | None = None
    generate_name: str | None = None
    annotations: dict[str, str] | None = None


class Pod(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Pod."""

    spec: PodSpec
    metadata: ObjectMeta = ObjectMeta()


_decoder = msgspec.json.Decoder(Pod)


def decode(raw: bytes | msgspec.Raw) -> Pod:
    """The Pod in a JSON document. Raises BadRequest with the path of what is not as a Pod has it."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadRequest(f"not a Pod: {error}") from error
