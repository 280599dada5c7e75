"""Settings of the strategy `node-image`: where pods run, and what is rendered for such nodes."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import AbsolutePath
from webhook.kubernetes.patch import JSON

DEFAULT_CLUSTER: Final = "my-cluster"
_LABEL: Final = "model-injector.io/node-image"
_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY: Final = rf"^({SUBDOMAIN}/)?{_NAME}$"
_TEMPLATE: Final = r"^([A-Za-z0-9._-]|\{model\}|\{version\})+$"
_EFFECT = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


def _are_labels(value: dict[str, str]) -> dict[str, str]:
    for key in value:
        if not re.fullmatch(_KEY, key, re.ASCII):
            raise ValueError(f"{key!r} is not the key of a label such as {_LABEL}")
    return value


class Toleration(Group):
    """A toleration, as in a pod (core/v1 Toleration)."""

    key: str = Field(pattern=_KEY)
    """The taint's key."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """Exists: any value of the taint. Equal: this value."""
    value: str = Field(default="", pattern=rf"^({_NAME})?$")
    """The taint's value."""
    effect: _EFFECT = "NoSchedule"
    """The taint's effect."""

    @model_validator(mode="after")
    def _has_a_value_to_equal(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"the operator Exists takes no value, and there is {self.value!r}: write operator: Equal")
        return self

    @property
    def manifest(self) -> JSON:
        """The toleration of a pod."""
        return {
            "key": self.key,
            "operator": self.operator,
            **({"value": self.value} if self.value else {}),
            "effect": self.effect,
        }

    @property
    def taint(self) -> JSON:
        """The taint that it tolerates."""
        return {"key": self.key, **({"value": self.value} if self.value else {}), "effect": self.effect}


class Requirement(Group):
    """A requirement of a NodePool."""

    key: str = Field(pattern=_KEY)
    """The key of a label that Karpenter knows."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"] = "In"
    """How the label's value is compared."""
    values: tuple[Annotated[str, Field(pattern=rf"^({_NAME})?$")], ...] = ()
    """What it is compared with."""

    @model_validator(mode="after")
    def _has_values_for_its_operator(self) -> Self:
        """As the API server checks a NodePool."""
        takes_none = self.operator in {"Exists", "DoesNotExist"}
        if takes_none and self.values:
            raise ValueError(f"the operator {self.operator} takes no values: remove them")
        if self.operator == "In" and not self.values:
            raise ValueError("the operator In needs values: name them, or write operator: Exists")
        is_number = len(self.values) == 1 and self.values[0].isdecimal()
        if self.operator in {"Gt", "Lt", "Gte", "Lte"} and not is_number:
            raise ValueError(f"the operator {self.operator} needs one value, a number that is not negative")
        return self

    @property
    def manifest(self) -> JSON:
        """The requirement in a NodePool."""
        return {"key": self.key, "operator": self.operator, **({"values": list(self.values)} if self.values else {})}


class NodeImageSettings(Group):
    """Settings of the strategy. Pods follow the first four; the others are for `model-injector manifests`."""

    node_selector: Annotated[
        dict[str, Annotated[str, Field(pattern=_TEMPLATE, max_length=256)]],
        Field(min_length=1, max_length=10),
        AfterValidator(_are_labels),
    ] = Field(default={_LABEL: "{model}-{version}"})
    """The labels of the nodes that have a version, with `{model}` and `{version}` in the values. Versions with the same
    labels are in one image. A value that no label can have is shortened, and gets a hash."""
    tolerations: tuple[Toleration, ...] = Field(default=(Toleration(key=_LABEL),), max_length=20)
    """The tolerations of the pods. The rendered NodePool has the taints that they tolerate."""
    path: AbsolutePath = "/opt/models"
    """The folder on the nodes that contains the folders of the versions."""
    volume: Literal["claim", "hostPath"] = "claim"
    """How a pod sees its folder. claim: by the claim of a local volume, which the Pod Security Standard restricted
    allows. hostPath: without any object, in namespaces where no Pod Security Standard is enforced."""
    cluster_name: str = Field(default=DEFAULT_CLUSTER, pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")
    """The name of the EKS cluster. Karpenter finds subnets and security groups by the tag karpenter.sh/discovery with
    this value."""
    node_role: str = Field(default="", pattern=r"^[A-Za-z0-9+=,.@_-]{0,64}$")
    """The IAM role of the nodes. Empty: `KarpenterNodeRole-` and the cluster's name, as Karpenter's guide has it."""
    parent_image: str = Field(
        default="/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id",
        pattern=r"^/[A-Za-z0-9_./-]{1,1000}$",
    )
    """The SSM parameter with the ID of the AMI that models are added to: an Amazon Linux 2023 for EKS, of the cluster's
    Kubernetes version."""
    requirements: tuple[Requirement, ...] = Field(
        default=(Requirement(key="kubernetes.io/arch", values=("amd64",)),), max_length=50
    )
    """The requirements of the NodePool. The architecture has to be that of the AMI."""
    volume_size: int = Field(default=100, ge=20, le=16000)
    """The size of a node's root volume in GiB without models. Models whose sizes the catalog knows are added."""
    snapshot_id: str = Field(default="", pattern=r"^(snap-[0-9a-f]+)?$")
    """The snapshot of a data volume with the models, which nodes mount at `path`. Empty: the models are in the AMI."""
    volume_initialization_rate: int = Field(default=300, ge=100, le=300)
    """How fast EBS reads the snapshot for a new node, in MiB a second. Without a rate, a block is read from S3 when it
    is first used, and the first start of a model is slow."""

    __hash__ = object.__hash__  # settings are created once, and are part of the key of cached values

    @property
    def role(self) -> str:
        """The IAM role of the nodes."""
        return self.node_role or f"KarpenterNodeRole-{self.cluster_name}"
