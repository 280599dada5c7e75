"""What the download takes of a node, and of the pod's own limits."""

from typing import Any

import pytest

from tests.admission.conftest import Injector, annotated, asking
from tests.support.pod_resources import defaulted, effective, problems, qos_class


def test_a_size_limit_bounds_the_volume_and_asks_for_a_node_with_room(injected: Injector) -> None:
    changed = injected(asking(size_limit="20Gi"))["spec"]
    assert changed["volumes"] == [{"name": "model-artifacts", "emptyDir": {"sizeLimit": "20480Mi"}}]
    assert changed["initContainers"][0]["resources"]["requests"]["ephemeral-storage"] == "20480Mi"


def test_each_init_container_asks_for_the_space_that_all_models_need(injected: Injector) -> None:
    models = "[{model: a, version: '1', sizeLimit: 1Gi}, {model: b, version: '1', sizeLimit: 2Gi}]"
    changed = injected(annotated(models=models))["spec"]
    assert changed["volumes"][0]["emptyDir"] == {"sizeLimit": "3072Mi"}
    rooms = [one["resources"]["requests"]["ephemeral-storage"] for one in changed["initContainers"]]
    assert rooms == ["3072Mi", "3072Mi"]


def test_a_model_in_memory_counts_as_the_init_containers_memory(injected: Injector) -> None:
    changed = injected(asking(medium="memory", size_limit="1Gi"))["spec"]
    resources = changed["initContainers"][0]["resources"]
    assert resources == {"requests": {"cpu": "100m", "memory": "1088Mi"}, "limits": {"memory": "1280Mi"}}


def test_a_model_in_memory_of_unknown_size_is_warned_of_and_not_killed(injected: Injector) -> None:
    injection = injected.decide(asking(medium="memory"))
    assert any("size-limit" in warning for warning in injection.warnings)
    resources = injected(asking(medium="memory"))["spec"]["initContainers"][0]["resources"]
    assert "memory" not in resources["limits"]


@pytest.mark.parametrize(
    ("annotations", "memory"),
    [
        ({"fetch_memory_request": "1Gi"}, ("1Gi", "1Gi")),
        ({"fetch_memory_limit": "32Mi"}, ("32Mi", "32Mi")),
        ({"fetch_memory_request": "1Gi", "fetch_memory_limit": "2Gi"}, ("1Gi", "2Gi")),
    ],
)
def test_a_pod_overrides_the_resources_of_its_init_container(
    injected: Injector, annotations: dict[str, str], memory: tuple[str, str]
) -> None:
    resources = injected(asking(None, **annotations))["spec"]["initContainers"][0]["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == memory


def test_a_request_above_its_limit_is_refused(injected: Injector) -> None:
    message = injected.refusal(asking(fetch_cpu_request="2", fetch_cpu_limit="1"))
    assert "fetch-cpu-request" in message
    assert "at most its limit, 1" in message


def test_a_limit_of_ephemeral_storage_is_raised_by_the_models_size(injected: Injector) -> None:
    limits = {"resources": {"limits": {"ephemeral-storage": "1Gi"}}}
    spec = {"containers": [{"name": "app", **limits}, {"name": "web", **limits}, {"name": "free"}]}
    (fetch,) = injected(asking(spec, size_limit="20Gi"))["spec"]["initContainers"]
    assert fetch["resources"]["limits"]["ephemeral-storage"] == "22528Mi"
    assert any("ephemeral-storage limit of 2048Mi" in warning for warning in injected.decide(asking(spec)).warnings)


def test_a_memory_limit_that_a_pod_asks_for_holds_for_a_model_in_memory_as_well(injected: Injector) -> None:
    (fetch,) = injected(asking(medium="memory", fetch_memory_limit="512Mi"))["spec"]["initContainers"]
    assert fetch["resources"]["limits"]["memory"] == "512Mi"


def test_a_guaranteed_pod_stays_guaranteed_at_no_cost(injected: Injector) -> None:
    bound = {"resources": {"limits": {"cpu": "1500m", "memory": "8Gi"}, "requests": {"cpu": "1.5", "memory": "8192Mi"}}}
    spec = {"containers": [{"name": "app", **bound}, {"name": "web", **bound}]}
    (fetch,) = injected(asking(spec))["spec"]["initContainers"]
    assert fetch["resources"] == {
        "requests": {"cpu": "3", "memory": "256Mi"},
        "limits": {"cpu": "3", "memory": "256Mi"},
    }


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
        {"limits": {"memory": "1Gi"}},
        {},
    ],
)
def test_a_pod_that_is_not_guaranteed_gets_no_limit_of_cpu(injected: Injector, resources: dict[str, Any]) -> None:
    (fetch,) = injected(asking({"containers": [{"name": "app", "resources": resources}]}))["spec"]["initContainers"]
    assert "cpu" not in fetch["resources"]["limits"]


@pytest.mark.parametrize(
    ("resources", "memory"),
    [
        ({"requests": {"memory": "2Gi"}, "limits": {"memory": "4Gi"}}, ("12288Mi", "14336Mi")),
        ({"limits": {"memory": "4Gi"}}, ("14336Mi", "14336Mi")),
        ({"requests": {"memory": "2Gi"}}, ("12288Mi", "12288Mi")),
        ({}, ("10304Mi", "10496Mi")),
    ],
)
def test_a_model_in_memory_stays_beside_what_the_containers_need(
    injected: Injector, resources: dict[str, Any], memory: tuple[str, str]
) -> None:
    """A pod gets the memory of its largest init container, where that is more than its containers'."""
    spec = {"containers": [{"name": "app", "resources": resources}]}
    (fetch,) = injected(asking(spec, medium="memory", size_limit="10Gi"))["spec"]["initContainers"]
    assert (fetch["resources"]["requests"]["memory"], fetch["resources"]["limits"]["memory"]) == memory


def limited(storage: str, name: str = "app", **fields: Any) -> dict[str, Any]:
    """A container that requests and limits ephemeral storage alike."""
    return {"name": name, "resources": {"limits": {"ephemeral-storage": storage}}, **fields}


def fetch_of(pod: dict[str, Any]) -> dict[str, Any]:
    """The resources of the init container that downloads."""
    found = [one for one in pod["spec"]["initContainers"] if one["name"].startswith("fetch-")]
    resources: dict[str, Any] = found[0]["resources"]
    return resources


SIDECAR = {"restartPolicy": "Always"}


def test_the_storage_of_a_sidecar_is_there_beside_the_model(injected: Injector) -> None:
    spec = {"containers": [limited("2Gi")], "initContainers": [limited("5Gi", "logs", **SIDECAR)]}
    changed = injected(asking(spec, size_limit="10Gi"))
    assert fetch_of(changed)["limits"]["ephemeral-storage"] == "17408Mi"
    assert effective(defaulted(changed), "limits")["ephemeral-storage"] == 17 << 30
    assert effective(defaulted(changed), "requests")["ephemeral-storage"] == 17 << 30


def test_a_limit_that_only_a_sidecar_has_bounds_the_whole_pod_and_is_raised(injected: Injector) -> None:
    spec = {"containers": [{"name": "app"}], "initContainers": [limited("1Gi", "logs", **SIDECAR)]}
    changed = injected(asking(spec, size_limit="10Gi"))
    assert effective(changed, "limits")["ephemeral-storage"] == 11 << 30


def test_a_sidecar_of_a_mesh_that_starts_before_the_download_is_counted_once(injected: Injector) -> None:
    spec = {"containers": [limited("2Gi")], "initContainers": [limited("1Gi", "istio-proxy", **SIDECAR)]}
    changed = injected(asking(spec, size_limit="10Gi"))
    assert [one["name"] for one in changed["spec"]["initContainers"]] == ["istio-proxy", "fetch-my-model"]
    assert fetch_of(changed)["limits"]["ephemeral-storage"] == "12288Mi"
    assert effective(changed, "limits")["ephemeral-storage"] == 13 << 30


def test_an_init_container_of_the_pod_runs_beside_the_model_as_well(injected: Injector) -> None:
    spec = {"containers": [limited("2Gi")], "initContainers": [limited("4Gi", "migrate")]}
    assert effective(injected(asking(spec, size_limit="10Gi")), "limits")["ephemeral-storage"] == 14 << 30


def test_the_request_of_storage_adds_up_without_a_limit(injected: Injector) -> None:
    spec = {"containers": [{"name": "app", "resources": {"requests": {"ephemeral-storage": "3Gi"}}}]}
    changed = injected(asking(spec, size_limit="10Gi"))
    assert fetch_of(changed)["requests"]["ephemeral-storage"] == "13312Mi"
    assert "ephemeral-storage" not in fetch_of(changed)["limits"]


def test_a_request_of_one_container_above_the_limit_of_another_is_covered(injected: Injector) -> None:
    asked = {"name": "web", "resources": {"requests": {"ephemeral-storage": "5Gi"}}}
    resources = fetch_of(injected(asking({"containers": [limited("1Gi"), asked]}, size_limit="10Gi")))
    assert resources["requests"]["ephemeral-storage"] == resources["limits"]["ephemeral-storage"] == "16384Mi"


def test_a_second_pass_does_not_count_the_download_again(injected: Injector) -> None:
    level = {"limits": {"memory": "12Gi"}}
    pod = asking({"containers": [{"name": "app"}], "resources": level}, size_limit="10Gi", medium="memory")
    again = injected.decide(injected(pod))
    assert (again.decision, again.warnings) == ("unchanged", ())


def pod_level(**resources: dict[str, str]) -> dict[str, Any]:
    return {"containers": [{"name": "app"}], "resources": resources}


def test_the_init_container_keeps_within_the_resources_of_the_pod(injected: Injector) -> None:
    level = pod_level(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "128Mi"})
    changed = injected(asking(level))
    assert fetch_of(changed) == {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    assert not problems(defaulted(changed))


def test_requests_of_a_sidecar_before_the_download_leave_less_of_the_pods(injected: Injector) -> None:
    proxy = {"name": "istio-proxy", "resources": {"requests": {"cpu": "100m"}}, **SIDECAR}
    level = {**pod_level(requests={"cpu": "100m"}), "initContainers": [proxy]}
    assert fetch_of(injected(asking(level)))["requests"]["cpu"] == "0"


@pytest.mark.parametrize(
    ("annotation", "value", "bound"),
    [("fetch_memory_limit", "1Gi", "at most 512Mi"), ("fetch_cpu_request", "2", "at most 1")],
)
def test_an_annotation_above_the_resources_of_the_pod_is_refused(
    injected: Injector, annotation: str, value: str, bound: str
) -> None:
    level = pod_level(limits={"cpu": "1", "memory": "512Mi"})
    message = injected.refusal(asking(level, **{annotation: value}))
    assert annotation.replace("_", "-") in message
    assert bound in message
    assert "spec.resources." in message


def test_a_model_in_memory_that_the_pod_has_no_room_for_is_refused_with_numbers(injected: Injector) -> None:
    level = pod_level(requests={"cpu": "1", "memory": "8Gi"}, limits={"cpu": "2", "memory": "8Gi"})
    message = injected.refusal(asking(level, size_limit="10Gi", medium="memory"))
    assert "needs 10304Mi of memory, 10240Mi of it for models" in message
    assert "spec.resources.limits.memory is 8192Mi; raise it to at least 10304Mi" in message


def test_a_model_in_memory_that_fits_keeps_a_pod_of_pod_level_resources_guaranteed(injected: Injector) -> None:
    level = pod_level(limits={"cpu": "2", "memory": "12Gi"})
    pod = defaulted(asking(level, size_limit="10Gi", medium="memory"))
    assert fetch_of(injected(pod))["requests"]["memory"] == "10304Mi"
    assert qos_class(defaulted(injected(pod))) == "Guaranteed"
    assert not injected.decide(pod).warnings


def test_a_model_in_memory_above_the_request_of_the_pod_is_warned_of(injected: Injector) -> None:
    level = pod_level(requests={"memory": "1Gi"}, limits={"memory": "16Gi"})
    pod = asking(level, size_limit="10Gi", medium="memory")
    assert fetch_of(injected(pod))["requests"]["memory"] == "1024Mi"
    (warning,) = injected.decide(pod).warnings
    assert "spec.resources.requests.memory is 1024Mi; raise it to 10240Mi" in warning


def test_a_guaranteed_pod_stays_guaranteed_with_a_model_of_unknown_size_in_memory(injected: Injector) -> None:
    bound = {"resources": {"limits": {"cpu": "1", "memory": "8Gi"}}}
    pod = asking({"containers": [{"name": "app", **bound}]}, medium="memory")
    assert fetch_of(injected(pod))["limits"] == {"cpu": "1", "memory": "8192Mi"}
    assert qos_class(defaulted(injected(pod))) == "Guaranteed"
    assert any("memory limit of 8192Mi" in warning for warning in injected.decide(pod).warnings)


def test_the_default_of_a_limit_range_is_above_the_request(injected: Injector) -> None:
    """The LimitRanger plugin gives it to the pod's containers before, and to the init container afterwards."""
    spec = {"containers": [{"name": "app", "resources": {"limits": {"cpu": "50m"}}}]}
    assert fetch_of(injected(asking(spec)))["requests"]["cpu"] == "50m"
    assert fetch_of(injected(asking(spec, fetch_cpu_request="200m")))["requests"]["cpu"] == "200m"


def test_an_invalid_quantity_of_the_pod_is_named(injected: Injector) -> None:
    spec = {"containers": [{"name": "app", "resources": {"limits": {"memory": "1 GB"}}}]}
    assert "'1 GB'" in injected.refusal(asking(spec)) or '"1 GB"' in injected.refusal(asking(spec))


def own_volume(**empty_dir: str) -> dict[str, Any]:
    app = {"name": "app", "resources": {"requests": {"memory": "4Gi"}, "limits": {"ephemeral-storage": "1Gi"}}}
    return {"containers": [app], "volumes": [{"name": "cache", "emptyDir": empty_dir}]}


def test_a_download_into_the_pods_own_volume_in_memory_has_no_limit_of_memory_and_a_warning(injected: Injector) -> None:
    """Its sizeLimit is a bound, and may be far above the model's size, so nothing is requested for it."""
    pod = asking(own_volume(medium="Memory", sizeLimit="500Gi"), volume="cache")
    assert fetch_of(injected(pod)) == {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {}}
    (warning,) = injected.decide(pod).warnings
    assert "set fetch-memory-limit" in warning
    pod["metadata"]["annotations"]["model-injector.io/fetch-memory-limit"] = "4Gi"
    assert fetch_of(injected(pod))["limits"] == {"memory": "4Gi"}


def test_a_large_volume_of_its_own_fits_into_the_resources_of_the_pod(injected: Injector) -> None:
    spec = {**own_volume(medium="Memory", sizeLimit="500Gi"), "resources": {"limits": {"memory": "8Gi"}}}
    (warning,) = injected.decide(asking(spec, volume="cache")).warnings
    assert "memory limit of 8192Mi" in warning


def test_a_download_into_the_pods_own_volume_on_disk_requests_nothing_for_it(injected: Injector) -> None:
    before = asking(own_volume(sizeLimit="3Ti"), volume="cache")
    changed = injected(before)
    for kind in ("requests", "limits"):
        assert effective(changed, kind).get("ephemeral-storage") == effective(before, kind).get("ephemeral-storage")
