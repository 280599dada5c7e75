"""What the download takes of a node, and of the pod's own limits."""

from typing import Any

import pytest

from tests.admission.conftest import Injector, annotated, asking


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
        ({"requests": {"memory": "2Gi"}}, ("12288Mi", "10496Mi")),
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
