"""Which nodes have a version, and which pods cannot run there."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from webhook.errors import shown
from webhook.kubernetes.names import label_value
from webhook.kubernetes.pod import NodeSelectorRequirement, NodeSelectorTerm, PodSpec
from webhook.model.refusals import Conflict
from webhook.strategies.node_image.settings import NodeImageSettings

_GROUPS: Final = ("eks.amazonaws.com/nodegroup", "karpenter.sh/nodepool", "kubernetes.io/hostname")
"""Labels by which a pod selects a group of nodes, or one node."""
_DAEMON_SET: Final = (
    "add these labels to the nodeSelector in the DaemonSet's template, so that only nodes with the model get a pod"
)


@lru_cache(maxsize=4096)
def node_labels(model: str, version: str, settings: NodeImageSettings) -> Mapping[str, str]:
    """The labels of the nodes that have a version. Callers must not mutate the result."""
    return {
        key: label_value(template.replace("{version}", version).replace("{model}", model))
        for key, template in settings.node_selector.items()
    }


def in_words(labels: Mapping[str, str]) -> str:
    """Labels as a selector: `a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def check_nodes(spec: PodSpec, labels: Mapping[str, str]) -> None:
    """Raise Conflict if the pod may only run on nodes without the labels, as far as its fields tell.

    A pod whose nodeSelector has the labels may also name one of these nodes, or their group. The patch compares the
    values of labels in the nodeSelector.
    """
    if spec.node_name is None and spec.node_selector is None and spec.affinity is None:
        return
    own = spec.node_selector or {}
    is_aware = labels.items() <= own.items()
    problem = None if is_aware else _bound(spec, own, labels)
    if problem := problem or _affinity_problem(spec, labels, is_aware=is_aware):
        fact, advice = problem
        raise Conflict(f"the pod {fact}, and its model is on the nodes with {in_words(labels)}; {advice}")


def _bound(spec: PodSpec, own: Mapping[str, str], labels: Mapping[str, str]) -> tuple[str, str] | None:
    """What in the pod names other nodes, and what to do about it."""
    if spec.node_name:
        return f"is bound to the node {shown(spec.node_name)} by spec.nodeName", _instead("spec.nodeName")
    for key in _GROUPS:
        if key in own and key not in labels:
            return f"selects nodes with {key}={shown(own[key])}", _instead("that label from its nodeSelector")
    return None


def _affinity_problem(spec: PodSpec, labels: Mapping[str, str], *, is_aware: bool) -> tuple[str, str] | None:
    """Why none of the terms of the required node affinity, of which one has to match, matches nodes with the labels."""
    affinity = spec.affinity and spec.affinity.node_affinity
    required = affinity and affinity.required_during_scheduling_ignored_during_execution
    problem = None
    for term in (required and required.node_selector_terms) or ():
        problem = _term_problem(term, labels, is_aware=is_aware)
        if problem is None:
            return None
    return problem


def _term_problem(term: NodeSelectorTerm, labels: Mapping[str, str], *, is_aware: bool) -> tuple[str, str] | None:
    for requirement in term.match_expressions or ():
        key = requirement.key
        is_other = not _matches(requirement, labels[key]) if key in labels else not is_aware and _is_group(requirement)
        if is_other:
            values = ",".join(requirement.values or ())
            fact = f"requires nodes with {shown(f'{key} {requirement.operator} {values}'.strip())} by its affinity"
            return fact, _instead("that term")
    for field in () if is_aware else term.match_fields or ():
        if field.key == "metadata.name" and field.operator == "In":
            return f"is for the node {shown(','.join(field.values or ()))}, as the pods of a DaemonSet are", _DAEMON_SET
    return None


def _is_group(requirement: NodeSelectorRequirement) -> bool:
    return requirement.key in _GROUPS and requirement.operator == "In"


def _matches(requirement: NodeSelectorRequirement, value: str) -> bool:
    """Whether a node whose label has this value meets the requirement."""
    values = requirement.values or ()
    match requirement.operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return True
        case "Gt" | "Lt" if value.isdecimal() and len(values) == 1 and values[0].isdecimal():
            return int(value) > int(values[0]) if requirement.operator == "Gt" else int(value) < int(values[0])
    return False


def _instead(what: str) -> str:
    return f"remove {what}, or use another strategy"
