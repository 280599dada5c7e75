"""What Kubernetes makes of the resources of a pod, written down from its formulas, to compare with.

Pods are JSON as the API server stores them; amounts are Decimals: cores and bytes.
"""

import copy
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from webhook.kubernetes.quantities import parse_quantity

JSON = dict[str, Any]
Amounts = dict[str, Decimal]
POD_LEVEL: Final = ("cpu", "memory")
"""What `spec.resources` may hold; huge pages aside."""


def with_limit_range(pod: JSON, default: Mapping[str, str]) -> JSON:
    """The pod as the LimitRanger plugin leaves it in a namespace whose LimitRange gives containers default limits."""
    changed = copy.deepcopy(pod)
    for container in _everyone(changed):
        limits = container.setdefault("resources", {}).setdefault("limits", {})
        container["resources"]["limits"] = {**default, **limits}
    return changed


def defaulted(pod: JSON) -> JSON:
    """The pod with the API server's defaults: `SetDefaults_Pod`, `defaultPodRequests`."""
    changed = copy.deepcopy(pod)
    for container in _everyone(changed):
        resources = container.setdefault("resources", {})
        resources["requests"] = {**resources.get("limits", {}), **resources.get("requests", {})}
    level = changed["spec"].get("resources")
    if level and level.get("limits"):
        summed = aggregated(changed, "requests")
        known = {name: str(amount) for name, amount in summed.items() if name in POD_LEVEL}
        level["requests"] = {**level["limits"], **known, **level.get("requests", {})}
    return changed


def effective(pod: JSON, kind: str) -> Amounts:
    """`PodRequests` or `PodLimits`: what the scheduler reserves, and what the kubelet allows."""
    return aggregated(pod, kind) | _amounts(pod["spec"].get("resources", {}).get(kind, {}))


def aggregated(pod: JSON, kind: str) -> Amounts:
    """`AggregateContainerRequests` or `AggregateContainerLimits`."""
    total, sidecars, most = Amounts(), Amounts(), Amounts()
    for container in pod["spec"]["containers"]:
        _add(total, _of(container, kind))
    for container in pod["spec"].get("initContainers", []):
        own = _of(container, kind)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            _raise(most, sidecars)
        else:
            alone = dict(own)
            _add(alone, sidecars)
            _raise(most, alone)
    _raise(total, most)
    return total


def phases(pod: JSON, after: str) -> Iterator[list[JSON]]:
    """The containers that run at once: in the download by the init container `after`, and at each later time."""
    sidecars = list[JSON]()
    is_later = False
    for container in pod["spec"].get("initContainers", []):
        is_later = is_later or container["name"] == after
        if is_later:
            yield [*sidecars, container]
        if container.get("restartPolicy") == "Always":
            sidecars.append(container)
    yield [*sidecars, *pod["spec"]["containers"]]


def used(containers: list[JSON], kind: str, resource: str) -> Decimal:
    """The sum of one resource."""
    return sum((_of(container, kind).get(resource, Decimal(0)) for container in containers), Decimal(0))


def qos_class(pod: JSON) -> str:
    """`ComputePodQOS`."""
    level = pod["spec"].get("resources")
    counted = [{"resources": level}] if level is not None else list(_everyone(pod))
    requests, limits = Amounts(), Amounts()
    has_both = True
    for each in counted:
        asked, limited = (_positive(_of(each, kind)) for kind in ("requests", "limits"))
        _add(requests, asked)
        _add(limits, limited)
        has_both = has_both and len(limited) == len(POD_LEVEL)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if has_both and requests == limits else "Burstable"


def problems(pod: JSON) -> list[str]:
    """Why the API server would reject a pod: `ValidateResourceRequirements`, `validatePodResourceConsistency`.

    Init containers are held to the limits of `spec.resources` as well: the kubelet enforces these.
    """
    found = []
    level = pod["spec"].get("resources", {})
    bounds = {kind: _amounts(level.get(kind, {})) for kind in ("requests", "limits")}
    for container in (*_everyone(pod), {"name": "spec.resources", "resources": level}):
        requests, limits = _of(container, "requests"), _of(container, "limits")
        found += [
            f"{container['name']}: {resource} request {requests[resource]} above limit {limits[resource]}"
            for resource in requests.keys() & limits.keys()
            if requests[resource] > limits[resource]
        ]
        found += [
            f"{container['name']}: {resource} limit {limits[resource]} above the pod's"
            for resource in limits.keys() & bounds["limits"].keys()
            if limits[resource] > bounds["limits"][resource]
        ]
    summed = aggregated(pod, "requests")
    found += [
        f"{resource} requests {summed[resource]} above the pod's"
        for resource in summed.keys() & bounds["requests"].keys()
        if summed[resource] > bounds["requests"][resource]
    ]
    return found


def _everyone(pod: JSON) -> Iterator[JSON]:
    yield from pod["spec"]["containers"]
    yield from pod["spec"].get("initContainers", [])


def _of(container: JSON, kind: str) -> Amounts:
    return _amounts((container.get("resources") or {}).get(kind, {}))


def _amounts(quantities: Mapping[str, str]) -> Amounts:
    return {name: parse_quantity(str(quantity)) for name, quantity in quantities.items()}


def _positive(amounts: Amounts) -> Amounts:
    return {name: amount for name, amount in amounts.items() if name in POD_LEVEL and amount > 0}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _raise(most: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        most[name] = max(most.get(name, amount), amount)
