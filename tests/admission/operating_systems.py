"""Specs of pods by the operating system of the nodes that they may run on."""

from tests.admission.conftest import JSON


def on_nodes(*terms: list[JSON]) -> JSON:
    """A spec whose node affinity requires one of these terms."""
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


_WINDOWS: JSON = {"key": "kubernetes.io/os", "operator": "In", "values": ["windows"]}
_NOT_LINUX: JSON = {"key": "beta.kubernetes.io/os", "operator": "NotIn", "values": ["linux"]}
_IN_ZONE_A: JSON = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}
WINDOWS_PODS: list[JSON] = [
    {"os": {"name": "windows"}},
    {"nodeSelector": {"kubernetes.io/os": "windows"}},
    {"nodeSelector": {"beta.kubernetes.io/os": "windows"}},
    on_nodes([_WINDOWS]),
    on_nodes([_NOT_LINUX]),
    on_nodes([_IN_ZONE_A, _WINDOWS], [{**_WINDOWS, "key": "beta.kubernetes.io/os"}], [_NOT_LINUX]),
]
"""Specs of pods that have to run on Windows nodes."""
LINUX_PODS: list[JSON] = [
    {},
    {"os": {"name": "linux"}},
    {"nodeSelector": {"kubernetes.io/os": "linux"}},
    {"nodeSelector": {"kubernetes.io/arch": "arm64"}},
    {"affinity": {}},
    {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}},
    on_nodes(),
    on_nodes([]),
    on_nodes([_IN_ZONE_A]),
    on_nodes([_WINDOWS], [_IN_ZONE_A]),
    on_nodes([{**_WINDOWS, "values": ["linux", "windows"]}]),
    on_nodes([{**_WINDOWS, "operator": "NotIn"}]),
    on_nodes([{"key": "kubernetes.io/os", "operator": "Exists"}]),
    on_nodes([{**_IN_ZONE_A, "values": ["windows"]}]),
]
"""Specs of pods that may run on Linux nodes."""
