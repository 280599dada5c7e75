"""What holds for the sums of every pod's resources, by Kubernetes' own formulas (tests/support/pod_resources.py)."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.admission.conftest import JSON, PREFIX, Injector, asking
from tests.support.pod_resources import (
    aggregated,
    defaulted,
    effective,
    phases,
    problems,
    qos_class,
    used,
    with_limit_range,
)
from tests.support.reviews import apply
from webhook.kubernetes.quantities import parse_quantity

STORAGE = "ephemeral-storage"
_AMOUNTS = {"cpu": ["0", "20m", "100m", "1", "3"], "memory": ["0", "32Mi", "100Mi", "1Gi", "5Gi"]}
_AMOUNTS[STORAGE] = ["0", "10Mi", "1Gi", "5Gi"]
_ONE_CLASS = {"cpu": "1", "memory": "1Gi"}


@st.composite
def resource_lists(draw: st.DrawFn) -> JSON:
    """Resources of a container, whose requests are within its limits."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([{}, {"limits": _ONE_CLASS}, {"limits": _ONE_CLASS, "requests": _ONE_CLASS}]))
    found: JSON = {"requests": {}, "limits": {}}
    for resource, amounts in _AMOUNTS.items():
        low, high = sorted(draw(st.lists(st.integers(0, len(amounts) - 1), min_size=2, max_size=2)))
        has = draw(st.sampled_from(["nothing", "request", "limit", "both"]))
        if has in ("request", "both"):
            found["requests"][resource] = amounts[low]
        if has in ("limit", "both"):
            found["limits"][resource] = amounts[high]
    return found


@st.composite
def pod_levels(draw: st.DrawFn, pod: JSON) -> JSON:
    """`spec.resources` that the API server accepts for the containers of this pod."""
    level: JSON = {"requests": {}, "limits": {}}
    full = defaulted(pod)
    containers = [*full["spec"]["containers"], *full["spec"]["initContainers"]]
    for resource in ("cpu", "memory"):
        own = [parse_quantity(one["resources"].get("limits", {}).get(resource, "0")) for one in containers]
        floor = aggregated(full, "requests").get(resource, Decimal(0))
        asked = floor + parse_quantity(draw(st.sampled_from(_AMOUNTS[resource])))
        if draw(st.booleans()):
            level["requests"][resource] = format(asked, "f")
        if draw(st.booleans()):
            limit = max(asked, *own) + parse_quantity(draw(st.sampled_from(_AMOUNTS[resource])))
            if limit:
                level["limits"][resource] = format(limit, "f")
    return {kind: amounts for kind, amounts in level.items() if amounts}


@st.composite
def pods(draw: st.DrawFn) -> JSON:
    """A pod with resources in every place, as in a manifest or as the API server sends it."""
    names = [f"app-{index}" for index in range(draw(st.integers(1, 2)))]
    init_names = [f"init-{index}" for index in range(draw(st.integers(0, 3)))]
    if draw(st.booleans()):
        init_names.insert(draw(st.integers(0, len(init_names))), "istio-proxy")
    spec: JSON = {
        "containers": [{"name": name, "image": "app:1", "resources": draw(resource_lists())} for name in names],
        "initContainers": [
            {"name": name, "image": "app:1", "resources": draw(resource_lists())}
            | ({"restartPolicy": "Always"} if name == "istio-proxy" or draw(st.booleans()) else {})
            for name in init_names
        ],
    }
    asked = {"medium": draw(st.sampled_from(["disk", "memory"]))}
    if draw(st.integers(0, 4)):
        asked["size_limit"] = draw(st.sampled_from(["1Mi", "2Gi", "10Gi"]))
    pod = asking(spec, **asked)
    if draw(st.integers(0, 2)) == 0:
        pod["spec"]["resources"] = draw(pod_levels(pod))
    assume(not problems(defaulted(pod)))
    return defaulted(pod) if "resources" in pod["spec"] or draw(st.booleans()) else pod


LIMIT_RANGES = st.sampled_from(
    [{}, {}, {"cpu": "50m"}, {"cpu": "50m", "memory": "20Mi"}, {"cpu": "2", "memory": "1Gi", STORAGE: "1Gi"}]
)
RESOURCES: list[Mapping[str, Any]] = [
    {},
    {"requests": {"cpu": None, "memory": None}, "limits": {"cpu": None, "memory": None}},
    {"requests": {"cpu": None, "memory": None}, "limits": {"cpu": "2", "memory": "256Mi"}},
]


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(pods(), LIMIT_RANGES, st.sampled_from(RESOURCES))
def test_what_holds_for_the_resources_of_every_pod(
    configured: Callable[..., Injector], pod: JSON, limit_range: Mapping[str, str], fetch: Mapping[str, Any]
) -> None:
    if limit_range:  # its default shows only in a container that gets it
        everyone = [*pod["spec"]["containers"], *pod["spec"]["initContainers"]]
        assume(all(any(name not in one["resources"].get("limits", {}) for one in everyone) for name in limit_range))
        pod = with_limit_range(pod, limit_range)
        assume(not problems(defaulted(pod)))
    before = defaulted(pod)
    injection = configured(fetch={"resources": fetch}).decide(pod)
    if injection.decision == "refused":
        memory_is_short(before, injection.message)
        return
    changed = defaulted(with_limit_range(apply(pod, injection.operations), limit_range))
    assert not problems(changed)
    the_class_stays(before, changed, fetch)
    annotations = pod["metadata"]["annotations"]
    size = parse_quantity(annotations.get(f"{PREFIX}/size-limit", "0"))
    is_in_memory = annotations[f"{PREFIX}/medium"] == "memory"
    own = need(before, fetch, limit_range)
    requests_grow_by_the_model(before, changed, own, STORAGE, Decimal(0) if is_in_memory else size)
    requests_grow_by_the_model(before, changed, own, "memory", size if is_in_memory else Decimal(0))
    requests_grow_by_the_model(before, changed, own, "cpu", Decimal(0))
    if not is_in_memory:
        the_limit_of_storage_covers_all_that_is_there_at_once(before, changed, size)
    elif size:
        the_limit_of_memory_covers_all_that_is_there_at_once(changed, size)


def memory_is_short(before: JSON, message: str) -> None:
    """A pod is refused only if its own limit of memory is below what it requests together with the model."""
    annotations = before["metadata"]["annotations"]
    limit = parse_quantity(before["spec"]["resources"]["limits"]["memory"])
    size = parse_quantity(annotations[f"{PREFIX}/size-limit"])
    assert annotations[f"{PREFIX}/medium"] == "memory"
    assert limit < size + aggregated(before, "requests").get("memory", Decimal(0)) + (64 << 20)
    assert "spec.resources.limits.memory" in message


def the_class_stays(before: JSON, changed: JSON, fetch: Mapping[str, Any]) -> None:
    """A pod without any resources gets those of the download; the settings may leave them out."""
    is_nothing = bool(fetch) and fetch["limits"]["cpu"] is None
    in_memory = before["metadata"]["annotations"][f"{PREFIX}/medium"] == "memory"
    if qos_class(before) != "BestEffort" or "resources" in before["spec"] or (is_nothing and not in_memory):
        assert qos_class(changed) == qos_class(before)


def need(before: JSON, fetch: Mapping[str, Any], limit_range: Mapping[str, str]) -> Mapping[str, Decimal]:
    """What the download requests by the settings, else its limits, else the default limits of the namespace."""
    requests, limits = {"cpu": "100m", "memory": "64Mi"}, {"memory": "256Mi"}
    if fetch:
        requests, limits = (
            {name: each for name, each in fetch[kind].items() if each} for kind in ("requests", "limits")
        )
    is_guaranteed = qos_class(before) == "Guaranteed"
    bounds = [limits, limit_range, requests if is_guaranteed else {}]
    most = {name: max(parse_quantity(each.get(name, "0")) for each in bounds) for name in ("cpu", "memory", STORAGE)}
    return most if is_guaranteed else most | {name: parse_quantity(each) for name, each in requests.items()}


def requests_grow_by_the_model(
    before: JSON, changed: JSON, own: Mapping[str, Decimal], resource: str, size: Decimal
) -> None:
    """What the scheduler reserves is the most of any time: without the model, in its download, and beside it."""
    asked = effective(changed, "requests").get(resource, Decimal(0))
    level = before["spec"].get("resources", {}).get("requests", {})
    if resource in level:
        assert asked == parse_quantity(level[resource])
        return
    in_download, *later = phases(changed, "fetch-my-model")
    downloading = size + own.get(resource, Decimal(0)) + used(in_download[:-1], "requests", resource)
    beside = [size + used(each, "requests", resource) for each in later if size]
    without = aggregated(before, "requests").get(resource, Decimal(0))
    assert max(without, *beside, Decimal(0)) <= asked <= max(without, *beside, downloading)


def the_limit_of_storage_covers_all_that_is_there_at_once(before: JSON, changed: JSON, size: Decimal) -> None:
    """`podEphemeralStorageLimitEviction`; a pod without limits gets none."""
    limits = effective(changed, "limits")
    assert (STORAGE in limits) == (STORAGE in effective(before, "limits"))
    if STORAGE in limits:
        _, *later = phases(changed, "fetch-my-model")
        assert all(limits[STORAGE] >= size + used(each, "limits", STORAGE) for each in later)


def the_limit_of_memory_covers_all_that_is_there_at_once(changed: JSON, size: Decimal) -> None:
    """`ResourceConfigForPod`, where every container has a limit, or the pod itself."""
    limit = effective(changed, "limits").get("memory", Decimal(0))
    in_download, *later = phases(changed, "fetch-my-model")
    if "memory" in changed["spec"].get("resources", {}).get("limits", {}):
        assert all(limit >= size + used(each, "requests", "memory") for each in later)
    elif "memory" in in_download[-1]["resources"].get("limits", {}):
        assert all(limit >= size + used(each, "limits", "memory") for each in later)
