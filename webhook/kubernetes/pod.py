"""The fields of a Pod that the injection reads, typed. Every other field passes unread, and so unchanged.

Types follow the Kubernetes API: a list may be absent or null alike, and both read as None. Decoding fails with the
JSON path of a field whose type is wrong.
"""

from typing import Any, Final

import msgspec

from webhook.kubernetes.decoding import decoded

_NULL: Final = msgspec.Raw(b"null")


def _camel(field: str) -> str:
    """The API's name of a field: `downwardAPI` for `downward_api`."""
    first, *rest = field.split("_")
    return first + "".join("API" if part == "api" else part.capitalize() for part in rest)


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
    image: str = ""
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


class Volume(msgspec.Struct, rename=_camel, frozen=True, gc=False):
    """core/v1 Volume. The types of sources are those that a pod of a *restricted* namespace may have, and the network
    file systems; each is JSON, which is parsed only where a source is compared."""

    name: str = ""
    config_map: msgspec.Raw = _NULL
    csi: msgspec.Raw = _NULL
    downward_api: msgspec.Raw = _NULL
    empty_dir: msgspec.Raw = _NULL
    ephemeral: msgspec.Raw = _NULL
    host_path: msgspec.Raw = _NULL
    image: msgspec.Raw = _NULL
    nfs: msgspec.Raw = _NULL
    persistent_volume_claim: msgspec.Raw = _NULL
    projected: msgspec.Raw = _NULL
    secret: msgspec.Raw = _NULL

    @property
    def source(self) -> dict[str, Any]:
        """Its source as JSON, such as `{"emptyDir": {}}`."""
        fields = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        sources = {key: getattr(self, field) for key, field in fields if field != "name"}
        return {key: msgspec.json.decode(raw) for key, raw in sources.items() if bytes(raw) != b"null"}


class LocalObjectReference(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 LocalObjectReference, and PodSchedulingGate: something by its name."""

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
    tolerations: tuple[dict[str, Any], ...] | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] | None = None
    scheduling_gates: tuple[LocalObjectReference, ...] | None = None
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
    """The Pod in a JSON document. Raises InvalidObject with the JSON path of a field whose type is wrong."""
    return decoded(_decoder, raw, "a Pod")
