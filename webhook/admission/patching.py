"""The JSON Patch of a pod. It omits what the pod has already, so a second pass adds nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from webhook.admission.account import account_operations
from webhook.admission.containers import attach
from webhook.admission.planning import PodPlan
from webhook.admission.recognition import covers, missing_init_containers, missing_volumes
from webhook.annotations.contract import INJECTED
from webhook.annotations.injected import InjectedModel, encode
from webhook.kubernetes.mesh import MESH_PROXIES
from webhook.kubernetes.patch import JSON, Operation, add, escape, extend
from webhook.kubernetes.pod import LocalObjectReference, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec
from webhook.model.refusals import Conflict
from webhook.settings import Settings
from webhook.strategies.strategy import Plan

_SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
_SAFE_VOLUMES: Final = f"{_SAFE_TO_EVICT}-local-volumes"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT: Final = 10
"""Of 100. The scheduler sums up the weights of the labels that a node has."""


def patch(
    pod: Pod, planned: PodPlan, asked_account: str | None, injected: tuple[InjectedModel, ...], settings: Settings
) -> list[Operation]:
    """The patch of a pod. Raises Refusal if the pod already uses a name, a path or a field differently.

    Init containers are added last, because they shift the indices of the existing ones.
    """
    spec, plan = pod.spec, planned.plan
    return [
        *attach(spec, planned.models),
        *extend("/spec/volumes", spec.volumes, missing_volumes(spec, plan.volumes, plan.init_containers)),
        *account_operations(spec, asked_account, planned.strategies, settings),
        *_placement(spec, plan, settings),
        *_annotations(pod, plan, {f"{settings.annotation_prefix}/{INJECTED}": encode(injected)}),
        *extend(
            "/spec/initContainers",
            spec.init_containers,
            missing_init_containers(spec, plan.init_containers),
            at=init_container_index(spec),
        ),
    ]


def init_container_index(spec: PodSpec) -> int:
    """Where to insert init containers: first, because later ones have no network in meshes without native sidecars, or
    just after a mesh's native sidecar, which provides the network."""
    for index, container in reversed(list(enumerate(spec.init_containers or ()))):
        if container.is_sidecar and container.name in MESH_PROXIES:
            return index + 1
    return 0


def _placement(spec: PodSpec, plan: Plan, settings: Settings) -> Iterator[Operation]:
    """The operations on fields that decide where and when the pod runs."""
    if plan.node_selector:
        yield from _node_selector(spec, plan.node_selector)
    if plan.preferred_node_labels:
        yield from _affinity(spec, [f"{settings.annotation_prefix}/{name}" for name in plan.preferred_node_labels])
    if plan.tolerations:
        yield from _tolerations(spec, plan.tolerations)
    if plan.image_pull_secrets:
        yield from _references("/spec/imagePullSecrets", spec.image_pull_secrets, plan.image_pull_secrets)
    if plan.scheduling_gates:
        yield from _references("/spec/schedulingGates", spec.scheduling_gates, plan.scheduling_gates)


def _node_selector(spec: PodSpec, wanted: Mapping[str, str]) -> list[Operation]:
    own = spec.node_selector or {}
    for label, value in wanted.items():
        if own.get(label, value) != value:
            raise Conflict(
                f"the pod's nodeSelector asks for {label}={own[label]}, and its model needs {label}={value}; remove "
                "the label, or use another strategy"
            )
    missing = {label: value for label, value in wanted.items() if label not in own}
    if spec.node_selector is None:
        return [add("/spec/nodeSelector", missing)] if missing else []
    return [add(f"/spec/nodeSelector/{escape(label)}", value) for label, value in missing.items()]


def _affinity(spec: PodSpec, labels: Sequence[str]) -> list[Operation]:
    """Prefer nodes that have the labels, in addition to what the pod prefers."""
    affinity, node_affinity = spec.affinity, spec.affinity and spec.affinity.node_affinity
    own = node_affinity and node_affinity.preferred_during_scheduling_ignored_during_execution
    present = {term.preference for term in own or ()}
    missing = [label for label in dict.fromkeys(labels) if _having(label) not in present]
    terms = [{"weight": _WEIGHT, "preference": {"matchExpressions": [_requirement(label)]}} for label in missing]
    if not terms:
        return []
    if affinity is None:
        return [add("/spec/affinity", {"nodeAffinity": {_PREFERRED: terms}})]
    if node_affinity is None:
        return [add("/spec/affinity/nodeAffinity", {_PREFERRED: terms})]
    return extend(f"/spec/affinity/nodeAffinity/{_PREFERRED}", own, terms)


def _requirement(label: str) -> JSON:
    return {"key": label, "operator": "In", "values": ["true"]}


def _having(label: str) -> NodeSelectorTerm:
    """The same, typed."""
    return NodeSelectorTerm((NodeSelectorRequirement(label, "In", ("true",)),))


def _tolerations(spec: PodSpec, wanted: Sequence[JSON]) -> list[Operation]:
    own = spec.tolerations or ()
    missing = [toleration for toleration in wanted if not any(covers(other, toleration) for other in own)]
    return extend("/spec/tolerations", spec.tolerations, missing)


def _references(path: str, own: Sequence[LocalObjectReference] | None, names: Sequence[str]) -> list[Operation]:
    present = {reference.name for reference in own or ()}
    return extend(path, own, [{"name": name} for name in dict.fromkeys(names) if name not in present])


def _annotations(pod: Pod, plan: Plan, injected: Mapping[str, str]) -> list[Operation]:
    """Add the planned annotations that the pod lacks, and set `injected`."""
    own = pod.metadata.annotations or {}
    wanted = {name: value for name, value in plan.annotations.items() if name not in own}
    wanted |= {**_safe_volumes(own, plan.volumes), **injected}
    return [
        add(f"/metadata/annotations/{escape(name)}", value) for name, value in wanted.items() if own.get(name) != value
    ]


def _safe_volumes(own: Mapping[str, str], volumes: Sequence[JSON]) -> dict[str, str]:
    """The annotation that lists the planned local volumes, besides those that the pod's author has listed.

    Cluster Autoscaler does not remove the node of a pod with other local volumes: emptyDir on disk, and hostPath.
    `safe-to-evict` takes precedence, whatever its value.
    """
    if _SAFE_TO_EVICT in own:
        return {}
    listed = own[_SAFE_VOLUMES].split(",") if own.get(_SAFE_VOLUMES) else []
    missing = [volume["name"] for volume in volumes if _is_local(volume) and volume["name"] not in listed]
    return {_SAFE_VOLUMES: ",".join(listed + missing)} if missing else {}


def _is_local(volume: JSON) -> bool:
    return "hostPath" in volume or ("emptyDir" in volume and volume["emptyDir"].get("medium") != "Memory")
