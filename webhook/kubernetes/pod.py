"""The fields of a Pod that the injection reads, typed. Decoding ignores all other fields.

Types follow the Kubernetes API: a list may be absent or null, and both decode to None.
"""

from typing import Any, Final

import msgspec

from webhook.kubernetes.decoding import decoded

_NULL: Final = msgspec.Raw(b"null")
_OS_LABELS: Final = ("kubernetes.io/os", "beta.kubernetes.io/os")
_json: Final = msgspec.json.Decoder(Any)


def _camel(field: str) -> str:
    """The field's name in the API: `downwardAPI` for `downward_api`."""
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
    """core/v1 EnvVar. The value is not read."""

    name: str = ""


class VolumeDevice(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 VolumeDevice."""

    name: str = ""


class SecurityContext(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 SecurityContext."""

    run_as_user: int | None = None
    run_as_non_root: bool | None = None


class PodSecurityContext(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PodSecurityContext."""

    run_as_user: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] | None = None


class ResourceRequirements(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 ResourceRequirements. Values are quantities."""

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
    volume_devices: tuple[VolumeDevice, ...] | None = None
    security_context: SecurityContext | None = None
    restart_policy: str | None = None
    resources: ResourceRequirements | None = None

    @property
    def is_sidecar(self) -> bool:
        """Whether this init container is a native sidecar, which keeps running while later containers start."""
        return self.restart_policy == "Always"


class Volume(msgspec.Struct, rename=_camel, frozen=True, gc=False):
    """core/v1 Volume. Sources are those that the Pod Security Standard *restricted* allows, hostPath and nfs.

    Each stays raw JSON, because sources are rarely compared.
    """

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
    def types(self) -> dict[str, msgspec.Raw]:
        """The volume's source by its type, such as `emptyDir`. Not decoded, because it may be large."""
        fields = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        sources = {key: getattr(self, field) for key, field in fields if field != "name"}
        return {key: raw for key, raw in sources.items() if raw != _NULL}

    @property
    def source(self) -> dict[str, Any]:
        """The volume's source, such as `{"emptyDir": {}}`. Raises InvalidObject where it is not JSON."""
        return {key: decoded(_json, raw, "a Volume") for key, raw in self.types.items()}


class LocalObjectReference(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 LocalObjectReference and PodSchedulingGate, which have the same fields."""

    name: str = ""


class PodOS(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PodOS."""

    name: str = ""


class NodeSelectorRequirement(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 NodeSelectorRequirement."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None

    @property
    def is_windows(self) -> bool:
        """Whether it matches only Windows nodes. kubelet runs on Linux and Windows, and labels each node."""
        values = set(self.values or ())
        is_one = (self.operator == "In" and values == {"windows"}) or (self.operator == "NotIn" and "linux" in values)
        return self.key in _OS_LABELS and is_one


class NodeSelectorTerm(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 NodeSelectorTerm, whose requirements are ANDed."""

    match_expressions: tuple[NodeSelectorRequirement, ...] | None = None
    match_fields: tuple[NodeSelectorRequirement, ...] | None = None

    @property
    def is_windows(self) -> bool:
        """Whether it matches only Windows nodes."""
        return any(requirement.is_windows for requirement in self.match_expressions or ())


class NodeSelector(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 NodeSelector, whose terms are ORed."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class PreferredSchedulingTerm(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PreferredSchedulingTerm. The weight is not read."""

    preference: NodeSelectorTerm = NodeSelectorTerm()


class NodeAffinity(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 NodeAffinity."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] | None = None


class Affinity(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 Affinity."""

    node_affinity: NodeAffinity | None = None

    @property
    def is_windows(self) -> bool:
        """Whether it allows only Windows nodes."""
        required = self.node_affinity and self.node_affinity.required_during_scheduling_ignored_during_execution
        terms = (required and required.node_selector_terms) or ()
        return bool(terms) and all(term.is_windows for term in terms)


class PodSpec(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """core/v1 PodSpec."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    security_context: PodSecurityContext | None = None
    affinity: Affinity | None = None
    node_name: str | None = None
    node_selector: dict[str, str] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] | None = None
    scheduling_gates: tuple[LocalObjectReference, ...] | None = None
    resources: ResourceRequirements | None = None
    os: PodOS | None = None
    scheduler_name: str | None = None

    @property
    def is_windows(self) -> bool:
        """Whether the pod has to run on a Windows node."""
        if (self.os and self.os.name == "windows") or (self.affinity and self.affinity.is_windows):
            return True
        selector = self.node_selector
        return selector is not None and any(selector.get(label) == "windows" for label in _OS_LABELS)


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
    """Decode a Pod. Raises InvalidObject with the JSON path of a field of the wrong type."""
    return decoded(_decoder, raw, "a Pod")
