"""The pods that an object makes, found by their shape."""

from typing import Any

import pytest

from webhook.kubernetes.operators import SOURCES
from webhook.kubernetes.templates import templates
from webhook.kubernetes.unstructured import ObjectTooLarge, Unstructured

SPEC = {"containers": [{"name": "app"}]}
TEMPLATE = {"metadata": {"annotations": {"a": "b"}}, "spec": SPEC}


def document(kind: str, spec: Any, version: str = "example.com/v1", **metadata: Any) -> Unstructured:
    return Unstructured({"apiVersion": version, "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec})


@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("Rollout", {"template": TEMPLATE}, ["/spec/template"]),
        ("CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}, ["/spec/jobTemplate/spec/template"]),
        (
            "LeaderWorkerSet",
            {"leaderWorkerTemplate": {"leaderTemplate": TEMPLATE, "workerTemplate": TEMPLATE, "size": 4}},
            ["/spec/leaderWorkerTemplate/leaderTemplate", "/spec/leaderWorkerTemplate/workerTemplate"],
        ),
        (
            "RayCluster",
            {"headGroupSpec": {"template": TEMPLATE}, "workerGroupSpecs": [{"template": TEMPLATE}] * 2},
            ["/spec/headGroupSpec/template", *(f"/spec/workerGroupSpecs/{index}/template" for index in (0, 1))],
        ),
        (
            "JobSet",
            {"replicatedJobs": [{"template": {"spec": {"template": TEMPLATE}}}]},
            ["/spec/replicatedJobs/0/template/spec/template"],
        ),
        ("PyTorchJob", {"replicas": {"a/b": {"template": TEMPLATE}}}, ["/spec/replicas/a~1b/template"]),
        ("ServingRuntime", {"annotations": {"a": "b"}, **SPEC}, ["/spec"]),
        ("Workflow", {"templates": [{"metadata": {"annotations": {"a": "b"}}, **SPEC}]}, ["/spec/templates/0"]),
        ("LLMInferenceService", {"template": SPEC}, []),  # of no group that is known
        ("Rollout", {"workloadRef": {"name": "y"}}, []),
        ("CustomResourceDefinition", {"properties": {"containers": {"type": "array"}}}, []),
        ("Service", {"containers": ["a"]}, []),
        ("Service", None, []),
    ],
)
def test_templates_are_found_where_they_stand(kind: str, spec: Any, paths: list[str]) -> None:
    found = templates(document(kind, spec))
    assert [each.path for each in found] == paths
    for each in found:
        assert each.pod["metadata"] == {"annotations": {"a": "b"}, "generateName": "x-"}
        assert each.pod["spec"] == SPEC


def test_what_happens_to_a_pod_happens_to_its_template() -> None:
    (found,) = templates(document("Rollout", {"template": TEMPLATE}))
    assert found.in_object(({"op": "add", "path": "/spec/volumes", "value": []},)) == (
        {"op": "add", "path": "/spec/template/spec/volumes", "value": []},
    )


def test_a_spec_that_stands_in_anothers_has_its_annotations_beside_it() -> None:
    (found,) = templates(document("ServingRuntime", {"annotations": {"a": "b"}, **SPEC}))
    assert found.in_object_at("/metadata/annotations/c") == "/spec/annotations/c"
    assert found.in_object_at("/spec/volumes") == "/spec/volumes"


def inference_service(predictor: Any, **annotations: str) -> Unstructured:
    return document("InferenceService", {"predictor": predictor}, "serving.kserve.io/v1beta1", annotations=annotations)


def test_an_inference_service_hands_its_annotations_down() -> None:
    (found,) = templates(inference_service(SPEC, a="b"))
    assert found.pod["metadata"]["annotations"] == {"a": "b"}
    assert found.in_object_at("/metadata/annotations/c") == "/metadata/annotations/c"
    (found,) = templates(inference_service({"annotations": {"a": "own"}, **SPEC}, a="b", d="e"))
    assert found.pod["metadata"]["annotations"] == {"a": "own", "d": "e"}
    assert found.in_object_at("/metadata/annotations/c") == "/spec/predictor/annotations/c"


def test_the_model_of_an_inference_service_is_the_container_that_kserve_makes_of_it() -> None:
    model = {"modelFormat": {"name": "onnx"}, "env": [{"name": "A", "value": "1"}]}
    (found,) = templates(inference_service({"model": model}, a="b"))
    assert [each["name"] for each in found.pod["spec"]["containers"]] == ["kserve-container"]
    assert found.in_object_at("/spec/containers/0/env/0") == "/spec/predictor/model/env/0"
    assert found.in_object_at("/spec/volumes") == "/spec/predictor/volumes"


def test_there_is_an_end_to_templates() -> None:
    with pytest.raises(ObjectTooLarge, match="RayCluster x has more than 64 pod templates"):
        templates(document("RayCluster", {"groups": [{"template": TEMPLATE}] * 65}))
    assert len(templates(document("Workflow", {"templates": [{"spec": SPEC}] * 65}))) == 65


def test_a_container_without_a_name_is_one_and_what_has_neither_name_nor_image_is_none() -> None:
    unnamed = {"template": {"spec": {"containers": [{"image": "app"}]}}}
    assert len(templates(document("Service", unnamed, "serving.knative.dev/v1"))) == 1
    oddities: list[list[Any]] = [[{}], [{"name": 1}], ["a"], [{"name": "a"}, {"ports": []}]]
    for odd in oddities:
        assert templates(document("X", {"template": {"spec": {"containers": odd}}})) == []


def test_a_step_of_a_workflow_is_a_pod_with_its_metadata_beside_it() -> None:
    step = {"name": "s", "metadata": {"annotations": {"a": "b"}}, "container": {"name": "main", "image": "i"}}
    (found,) = templates(document("Workflow", {"templates": [step, {"container": {"image": "i"}}]}))
    assert found.pod["spec"]["containers"] == [{"name": "main", "image": "i"}]
    assert found.in_object_at("/spec/containers/0/env") == "/spec/templates/0/container/env"
    assert found.in_object_at("/metadata/annotations/a") == "/spec/templates/0/metadata/annotations/a"


@pytest.mark.parametrize(
    ("step", "containers"),
    [
        ({"container": {"image": "i"}}, "/spec/templates/0/container"),
        ({"script": {"image": "i", "source": "exit"}}, "/spec/templates/0/script"),
        ({"containerSet": {"containers": [{"name": "main"}]}}, "/spec/templates/0/containerSet/containers/0"),
    ],
)
def test_a_step_of_argo_names_its_container_main_and_has_its_annotations_beside_it(step: Any, containers: str) -> None:
    (found,) = templates(document("Workflow", {"templates": [step]}, "argoproj.io/v1alpha1"))
    assert [each["name"] for each in found.pod["spec"]["containers"]] == ["main"]
    assert found.in_object_at("/spec/containers/0/env") == f"{containers}/env"
    assert found.in_object_at("/metadata/annotations") == "/spec/templates/0/metadata/annotations"


def test_a_predictors_workers_are_pods_beside_it() -> None:
    service = inference_service({"sklearn": {"env": []}, "workerSpec": SPEC}, a="b")
    assert [each.path for each in templates(service)] == ["/spec/predictor", "/spec/predictor/workerSpec"]
    assert templates(service)[0].in_object_at("/spec/containers/0/env") == "/spec/predictor/sklearn/env"


def stateful_set(**spec: Any) -> Unstructured:
    claims = [{"metadata": {"name": "data"}}, {"metadata": {"name": "logs"}}]
    return document("StatefulSet", {"template": {"spec": {**SPEC, **spec}}, "volumeClaimTemplates": claims}, "apps/v1")


def test_a_stateful_sets_claims_are_volumes_of_its_pods_instead_of_the_templates_own() -> None:
    (found,) = templates(stateful_set(volumes=[{"name": "data", "emptyDir": {}}, {"name": "more", "emptyDir": {}}]))
    assert [next(iter(each.keys() - {"name"})) for each in found.pod["spec"]["volumes"]] == [
        "persistentVolumeClaim",
        "persistentVolumeClaim",
        "emptyDir",
    ]
    added = ({"op": "add", "path": "/spec/volumes/-", "value": 1},)
    assert found.in_object(added)[0]["path"] == "/spec/template/spec/volumes/-"


def test_a_template_without_volumes_gets_its_first_list_of_them() -> None:
    (found,) = templates(stateful_set())
    added = tuple({"op": "add", "path": "/spec/volumes/-", "value": value} for value in (1, 2))
    assert found.in_object(added) == (
        {"op": "add", "path": "/spec/template/spec/volumes", "value": [1]},
        {"op": "add", "path": "/spec/template/spec/volumes/-", "value": 2},
    )


def of(group: str, kind: str, spec: Any, **metadata: Any) -> list[tuple[str, dict[str, Any], str]]:
    """The templates of an object: path, annotations, and the place of those that a patch adds."""
    found = templates(document(kind, spec, f"{group}/v1", **metadata))
    return [(each.path, dict(each.annotations), each.in_object_at("/metadata/annotations")) for each in found]


def test_seldon_gives_pods_the_annotations_of_all_levels() -> None:
    predictor = {"annotations": {"b": "2"}, "componentSpecs": [{"spec": SPEC}], "graph": {"name": "g"}}
    path = "/spec/predictors/0/componentSpecs/0"
    seldon = ("machinelearning.seldon.io", "SeldonDeployment")
    spec = {"annotations": {"a": "1", "b": "1"}, "predictors": [predictor]}
    assert of(*seldon, spec) == [(path, {"a": "1", "b": "2"}, "/spec/predictors/0/annotations")]
    predictor["componentSpecs"] = [{"metadata": {"annotations": {"b": "3"}}, "spec": SPEC}]
    assert of(*seldon, spec) == [(path, {"a": "1", "b": "3"}, f"{path}/metadata/annotations")]
    del predictor["componentSpecs"]
    assert of(*seldon, spec) == [("/spec/predictors/0", {"a": "1", "b": "2"}, "/spec/predictors/0/annotations")]


def test_a_pod_that_a_controller_makes_has_its_container_and_no_place_for_operations() -> None:
    spec = {"driver": {"annotations": {"a": "b"}}, "executor": {"instances": 2}}
    driver, executor = templates(document("SparkApplication", spec, "sparkoperator.k8s.io/v1beta2"))
    assert (driver.path, driver.annotations, driver.is_made) == ("/spec/driver", {"a": "b"}, True)
    assert driver.pod["spec"] == {"containers": [{"name": "spark-kubernetes-driver"}]}
    assert (executor.path, executor.annotations) == ("/spec/executor", {})
    assert driver.in_object(({"op": "add", "path": "/spec/volumes", "value": []},)) == ()


@pytest.mark.parametrize(
    ("version", "kind", "spec", "path", "container"),
    [
        ("apps.nvidia.com/v1alpha1", "NIMService", {"annotations": {"a": "b"}}, "/spec", "x-ctr"),
        ("serving.kserve.io/v1alpha2", "LLMInferenceService", {"annotations": {"a": "b"}}, "/spec", "main"),
        (
            "sparkoperator.k8s.io/v1alpha1",
            "SparkConnect",
            {"executor": {"template": {"metadata": {"annotations": {"a": "b"}}}}},
            "/spec/executor",
            "spark-kubernetes-executor",
        ),
        (
            "nvidia.com/v1beta1",
            "DynamoGraphDeployment",
            {"annotations": {"a": "b", "c": "d"}, "components": [{"podTemplate": {"metadata": {"annotations": {}}}}]},
            "/spec/components/0",
            "main",
        ),
    ],
)
def test_a_controller_makes_a_pod_with_the_annotations_of_these_places(
    version: str, kind: str, spec: Any, path: str, container: str
) -> None:
    (found,) = templates(document(kind, spec, version))
    assert (found.path, found.annotations.get("a"), found.is_made) == (path, "b", True)
    assert found.pod["spec"] == {"containers": [{"name": container}]}


def test_the_components_of_a_graph_have_its_annotations_unless_they_have_others() -> None:
    dynamo = ("nvidia.com", "DynamoGraphDeployment")
    service = {"annotations": {"a": "2"}, "extraPodSpec": {}}
    spec = {"annotations": {"a": "1", "b": "1"}, "services": {"w": service}}
    assert of(*dynamo, spec) == [("/spec/services/w", {"a": "2", "b": "1"}, "/spec/services/w/annotations")]
    spec = {"annotations": {"a": "1"}, "components": [{"podTemplate": {"spec": SPEC}}]}
    assert of(*dynamo, spec) == [("/spec/components/0/podTemplate", {"a": "1"}, "/spec/annotations")]


def test_a_template_within_is_preferred_to_a_pod_that_a_controller_makes() -> None:
    spec = {"driver": {"annotations": {"a": "b"}, "template": {"spec": SPEC}}}
    place = "/spec/driver/annotations"
    assert of("sparkoperator.k8s.io", "SparkApplication", spec) == [("/spec/driver/template", {"a": "b"}, place)]
    assert of("sparkoperator.k8s.io", "ScheduledSparkApplication", {"template": spec}) == [
        ("/spec/template/driver/template", {"a": "b"}, "/spec/template/driver/annotations")
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("TaskRun", {"taskSpec": {"steps": [{"name": "a"}, {}]}}, "/spec/taskSpec"),
        ("Task", {"steps": [{"name": "a"}, {}]}, "/spec"),
        (
            "PipelineRun",
            {"pipelineSpec": {"tasks": [{"taskSpec": {"steps": [{"name": "a"}, {}]}}]}},
            "/spec/pipelineSpec/tasks/0/taskSpec",
        ),
    ],
)
def test_the_steps_of_a_task_are_containers_of_a_pod(kind: str, spec: Any, path: str) -> None:
    (found,) = templates(document(kind, spec, "tekton.dev/v1", annotations={"a": "b"}))
    assert (found.path, found.annotations, found.is_made) == (path, {"a": "b"}, True)
    assert [each["name"] for each in found.pod["spec"]["containers"]] == ["step-a", "step-unnamed-1"]


def test_the_workloads_of_an_inference_service_for_language_models_have_their_annotations_beside_them() -> None:
    workload = {"annotations": {"a": "b"}, "template": SPEC, "worker": SPEC}
    spec = {"template": SPEC, "prefill": workload}
    assert of("serving.kserve.io", "LLMInferenceService", spec, annotations={"c": "d"}) == [
        ("/spec/template", {}, "/spec/annotations"),
        ("/spec/prefill/template", {"a": "b"}, "/spec/prefill/annotations"),
        ("/spec/prefill/worker", {"a": "b"}, "/spec/prefill/annotations"),
    ]


def test_the_pods_of_a_workflow_have_the_annotations_of_its_pod_metadata() -> None:
    spec = {"podMetadata": {"annotations": {"a": "b"}}, "templates": [{"name": "s", "container": {"image": "i"}}]}
    place = "/spec/podMetadata/annotations"
    assert of("argoproj.io", "Workflow", spec) == [("/spec/templates/0", {"a": "b"}, place)]
    assert of("argoproj.io", "CronWorkflow", {"workflowSpec": spec}) == [
        ("/spec/workflowSpec/templates/0", {"a": "b"}, "/spec/workflowSpec/podMetadata/annotations")
    ]


def test_odd_objects_of_operators_are_no_fault() -> None:
    oddities: list[Any] = [
        None,
        1,
        "x",
        [],
        {},
        {"predictors": 1},
        {"driver": []},
        {"steps": [1]},
        {"services": {"a": 1}},
        {"steps": [{}], "taskSpec": {"steps": [{}]}},
        {"templates": [{"container": {"image": "i"}}], "server": {}, "components": [{}], "driver": {}},
        {"template": TEMPLATE, "volumeClaimTemplates": 1},
    ]
    for odd in oddities:
        for group, kind in (*SOURCES, ("tekton.dev", "ClusterTask"), ("apps", "StatefulSet")):
            without_metadata = Unstructured({"apiVersion": f"{group}/v1", "kind": kind, "spec": odd})
            assert isinstance(templates(without_metadata), list)
            assert isinstance(templates(document(kind, odd, f"{group}/v1", annotations={})), list)
