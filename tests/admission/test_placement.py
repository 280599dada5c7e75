"""Where the init container, volume and mounts go in a pod, and which conflicts are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.admission.conftest import Injector, annotated, asking
from tests.admission.operating_systems import LINUX_PODS, WINDOWS_PODS

NATIVE = {"name": "istio-proxy", "restartPolicy": "Always"}


def init_names(spec: dict[str, Any]) -> list[str]:
    return [container["name"] for container in spec["initContainers"]]


def test_ours_comes_first_among_the_init_containers(injected: Injector) -> None:
    spec = {"initContainers": [{"name": "istio-init"}, {"name": "migrate"}]}
    assert init_names(injected(asking(spec))["spec"]) == ["fetch-my-model", "istio-init", "migrate"]


def test_ours_comes_right_after_a_native_mesh_proxy(injected: Injector) -> None:
    spec = {"initContainers": [{"name": "istio-validation"}, NATIVE, {"name": "migrate"}]}
    assert init_names(injected(asking(spec))["spec"]) == [
        "istio-validation",
        "istio-proxy",
        "fetch-my-model",
        "migrate",
    ]


def test_a_native_sidecar_that_is_no_mesh_proxy_comes_after_ours(injected: Injector) -> None:
    spec = {"initContainers": [{"name": "logs", "restartPolicy": "Always"}]}
    assert init_names(injected(asking(spec))["spec"]) == ["fetch-my-model", "logs"]


def test_several_init_containers_keep_the_order_of_their_models(injected: Injector) -> None:
    models = "[{model: z, version: '1'}, {model: a, version: '1'}]"
    spec = {"initContainers": [NATIVE]}
    assert init_names(injected(annotated(spec, models=models))["spec"]) == ["istio-proxy", "fetch-z", "fetch-a"]


def test_a_chosen_init_container_keeps_its_own_place_when_ours_moves_in_before_it(injected: Injector) -> None:
    spec = {"initContainers": [{"name": "one"}, {"name": "two"}]}
    changed = injected(asking(spec, containers="two"))["spec"]
    ours, one, two = changed["initContainers"]
    assert ours["name"] == "fetch-my-model"
    assert one == {"name": "one"}
    assert two["volumeMounts"][0]["mountPath"] == "/model-artifacts"


@pytest.mark.parametrize("path", ["/model-artifacts", "/model-artifacts/"])
def test_another_volume_at_the_path_is_refused(injected: Injector, path: str) -> None:
    container = {"name": "app", "volumeMounts": [{"name": "data", "mountPath": path}]}
    spec = {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
    message = injected.refusal(asking(spec))
    assert "container app mounts the volume data" in message
    assert "mount-path" in message


def test_two_models_at_one_path_are_refused(injected: Injector) -> None:
    models = "[{model: a, version: '1', modelPath: /m}, {model: b, version: '1', modelPath: /m}]"
    assert "would be mounted at /m and at /m" in injected.refusal(annotated(models=models))


def test_two_models_at_one_path_in_different_containers_are_fine(injected: Injector) -> None:
    a, b = (f"{{model: {one}, version: '1', modelPath: /m, containers: {where}}}" for one, where in ("ax", "by"))
    models = f"[{a}, {b}]"
    spec = {"containers": [{"name": "x"}, {"name": "y"}]}
    x, y = injected(annotated(spec, models=models))["spec"]["containers"]
    assert x["volumeMounts"][0]["subPath"] == "a-1"
    assert y["volumeMounts"][0]["subPath"] == "b-1"


def test_the_same_model_twice_is_refused(injected: Injector) -> None:
    models = "[{model: a, version: '1'}, {model: a, version: '1', mountPath: /b}]"
    assert "a-1 twice" in injected.refusal(annotated(models=models))


def test_models_whose_folders_lie_within_each_other_are_refused(injected: Injector) -> None:
    models = "[{model: a, version: '1'}, {model: a-1/b, version: '2'}]"
    assert "would share the folder a-1/" in injected.refusal(annotated(models=models))


@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_a_container_that_has_our_name_is_refused(injected: Injector, group: str) -> None:
    spec: dict[str, Any] = {"containers": [{"name": "app"}]}
    spec[group] = [*spec.get(group, []), {"name": "fetch-my-model", "command": ["sh"]}]
    assert "the container name fetch-my-model is reserved" in injected.refusal(asking(spec))


def test_an_init_container_that_fetches_something_else_is_refused(injected: Injector) -> None:
    spec = injected(asking())["spec"]
    assert "fetch-my-model" in injected.refusal(asking(spec, version="2.0.0"))


def test_a_volume_that_has_our_name_is_refused(injected: Injector) -> None:
    spec = {"volumes": [{"name": "model-artifacts", "emptyDir": {}}]}
    message = injected.refusal(asking(spec))
    assert "volume name model-artifacts is reserved" in message
    assert "annotation volume" in message


def test_a_container_that_is_not_there_is_refused(injected: Injector) -> None:
    message = injected.refusal(asking({"containers": [{"name": "app"}, {"name": "web"}]}, containers="wbe"))
    assert "'wbe'" in message
    assert "app, web" in message


def test_a_volume_that_is_not_there_is_refused(injected: Injector) -> None:
    spec = {"volumes": [{"name": "data", "emptyDir": {}}]}
    message = injected.refusal(asking(spec, volume="dta"))
    assert "model-injector.io/volume" in message
    assert "data" in message


@pytest.mark.parametrize("own", [{}, {"serviceAccountName": "default", "serviceAccount": "default"}])
def test_a_pod_without_an_account_of_its_own_gets_the_one_it_asks_for(injected: Injector, own: dict[str, str]) -> None:
    spec = injected(asking(own, service_account="reader"))["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("reader", "reader")


def test_an_account_that_differs_from_the_one_asked_for_is_refused(injected: Injector) -> None:
    message = injected.refusal(asking({"serviceAccountName": "mine"}, service_account="reader"))
    assert "mine" in message
    assert "reader" in message


def test_the_settings_account_does_not_replace_a_pods_own(configured: Callable[..., Injector]) -> None:
    injector = configured(defaults={"serviceAccount": "reader"})
    assert injector(asking())["spec"]["serviceAccountName"] == "reader"
    assert injector(asking({"serviceAccountName": "mine"}))["spec"]["serviceAccountName"] == "mine"


def test_a_mirror_pod_is_left_alone(injected: Injector) -> None:
    pod = asking(version="not a version at all!")
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x"
    injection = injected.decide(pod)
    assert (injection.decision, injection.reason, injection.warnings) == ("skipped", "MirrorPod", ())


@pytest.mark.parametrize("spec", WINDOWS_PODS)
def test_a_windows_pod_is_left_alone_with_a_warning(injected: Injector, spec: dict[str, Any]) -> None:
    injection = injected.decide(asking(spec))
    assert (injection.decision, injection.reason) == ("skipped", "WindowsPod")
    assert "Windows" in injection.warnings[0]
    assert not injected.decide(annotated(spec)).warnings


@pytest.mark.parametrize("spec", LINUX_PODS)
def test_a_pod_that_may_run_on_linux_gets_its_model(injected: Injector, spec: dict[str, Any]) -> None:
    assert injected(asking(spec))["spec"]["initContainers"]


@pytest.mark.parametrize("namespace", ["kube-system", "kube-node-lease"])
def test_the_clusters_own_namespaces_are_left_alone(injected: Injector, namespace: str) -> None:
    injection = injected.decide(asking(), namespace)
    assert (injection.decision, injection.reason) == ("skipped", "ProtectedNamespace")


@pytest.mark.parametrize(
    "pod",
    [
        {"spec": {"containers": [{"name": "app"}]}},
        {"metadata": {"annotations": None}, "spec": {"containers": None}},
        {"metadata": {"annotations": {"other.io/model": "x"}}, "spec": {"containers": []}},
    ],
)
def test_a_pod_that_asks_for_nothing_is_not_touched(injected: Injector, pod: dict[str, Any]) -> None:
    injection = injected.decide(pod)
    assert (injection.decision, injection.operations, injection.warnings) == ("skipped", (), ())


def test_a_pod_of_fifty_containers_gets_the_model_in_each(injected: Injector) -> None:
    spec = {"containers": [{"name": f"c{index}"} for index in range(50)], "volumes": None, "initContainers": None}
    changed = injected(asking(spec))["spec"]
    assert all(container["volumeMounts"] for container in changed["containers"])


def test_inject_false_leaves_a_pod_alone_whatever_else_it_says(injected: Injector) -> None:
    injection = injected.decide(asking(inject="false", mount_path="nonsense"))
    assert (injection.decision, injection.reason) == ("skipped", "OptedOut")


def test_a_volume_is_mounted_model_by_model_where_something_else_stands_inside(injected: Injector) -> None:
    own = {"name": "app", "volumeMounts": [{"name": "conf", "mountPath": "/models/conf"}]}
    spec = {"containers": [own], "volumes": [{"name": "conf", "emptyDir": {}}]}
    paths = {
        mount["mountPath"]: mount.get("subPath")
        for mount in injected(asking(spec, mount_path="/models"))["spec"]["containers"][0]["volumeMounts"]
    }
    assert paths == {"/models/conf": None, "/models/my-model-1.2.3": "my-model-1.2.3"}


def test_a_model_path_inside_the_mount_path_does_not_nest_mounts(injected: Injector) -> None:
    (app,) = injected(asking(mount_path="/models", model_path="/models/current"))["spec"]["containers"]
    assert {mount["mountPath"] for mount in app["volumeMounts"]} == {"/models/my-model-1.2.3", "/models/current"}


@pytest.mark.parametrize("inside", ["/model-artifacts/my-model-1.2.3", "/model-artifacts/my-model-1.2.3/config"])
def test_a_volume_over_or_inside_the_models_own_folder_is_refused(injected: Injector, inside: str) -> None:
    own = {"name": "app", "volumeMounts": [{"name": "conf", "mountPath": inside}]}
    message = injected.refusal(asking({"containers": [own], "volumes": [{"name": "conf", "emptyDir": {}}]}))
    assert f"container app mounts the volume conf at {inside}" in message


def test_models_at_paths_inside_of_each_other_are_refused(injected: Injector) -> None:
    models = "[{model: a, version: '1', modelPath: /m}, {model: b, version: '1', modelPath: /m/b}]"
    assert "paths that do not overlap" in injected.refusal(annotated(models=models))


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("containers: nobody", "containers"),
        ("source: elsewhere", "source"),
        ("volume: none", "volume"),
        ("fetchCpuRequest: 2, fetchCpuLimit: 1", "fetchCpuRequest"),
    ],
)
def test_a_refusal_names_the_entry_of_models_that_it_is_about(injected: Injector, entry: str, place: str) -> None:
    models = f"[{{model: a, version: '1'}}, {{model: b, version: '1', {entry}}}]"
    assert f"annotation model-injector.io/models[1].{place}: " in injected.refusal(annotated(models=models))


def test_a_pod_that_no_node_could_run_is_refused_before_it_takes_time(injected: Injector) -> None:
    containers = [{"name": f"c{index}"} for index in range(3000)]
    assert "too large for injection" in injected.refusal(asking({"containers": containers}))
    mounts = [{"name": "v", "mountPath": f"/v/{index}"} for index in range(30_000)]
    assert "too large for injection" in injected.refusal(
        asking({"containers": [{"name": "app", "volumeMounts": mounts}]})
    )
    assert injected.decide(annotated({"containers": containers})).decision == "skipped"


@pytest.mark.parametrize("resource", ["cpu", "memory", "ephemeral-storage"])
@pytest.mark.parametrize("quantity", ["-1", "much", "", 1e300, -5])
def test_a_quantity_that_can_not_be_is_refused_and_is_no_fault_of_ours(
    injected: Injector, resource: str, quantity: str | float
) -> None:
    limits = {"cpu": "1", "memory": "1Gi", resource: quantity}
    pod = asking({"containers": [{"name": "app", "resources": {"limits": limits, "requests": {"cpu": 1}}}]})
    assert "invalid quantity" in injected.refusal(pod)
