"""What is read of a cluster, and what is an error instead of a part of it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.support.api_server import ApiServer
from tests.usage.objects import (
    CREATED,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    JSON,
    LISTS,
    PODS,
    REPLICA_SETS,
    REVISIONS,
    STARTED,
    STATEFUL_SETS,
    annotated,
    cron_job,
    injected,
    pinned,
    pod,
    revision,
    template,
    workload,
)
from webhook.kubernetes import client as limits
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.settings import Settings
from webhook.usage import reading
from webhook.usage.observed import Claim, Problem, Workload
from webhook.usage.reading import read_usage
from webhook.usage.uses import FloatingUse, Usage, Use

ASKING = {"model": "my-model", "version": "1.2.3"}
ROLLOUTS = "/apis/argoproj.io/v1alpha1/rollouts"


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def in_words(use: Use) -> str:
    since = {None: "?", at(CREATED): "created", at(STARTED): "started"}[use.since]
    return f"{use.workload.kind}/{use.workload.name} {use.used.model} {use.used.version} {use.state} {use.pod} {since}"


def words(usage: Usage) -> list[str]:
    assert usage.problems == ()
    return sorted(map(in_words, usage.uses))


def test_pods_run_templates_pin_and_a_rollbacks_templates_are_history(
    api: ApiServer, client: KubernetesClient, settings: Settings
) -> None:
    api.lists[DEPLOYMENTS] = [workload("chat", model="my-model", version="@champion", pinned=pinned("1.3.0"))]
    api.lists[REPLICA_SETS] = [
        workload("chat-1", ("Deployment", "chat"), model="my-model", version="@champion", pinned=pinned("1.2.3")),
        workload("chat-2", ("Deployment", "chat"), model="my-model", version="@champion", pinned=pinned("1.3.0")),
        workload("bare", model="my-model", version="0.1.0"),
        workload("other", ("Deployment", "other")),
    ]
    api.lists[STATEFUL_SETS] = [workload("search", model="encoder", version="2.0.0")]
    api.lists[DAEMON_SETS] = [workload("edge", model="tiny", version="1.0.0")]
    api.lists[REVISIONS] = [
        revision("search-1", ("StatefulSet", "search"), model="encoder", version="1.0.0"),
        revision("edge-1", ("DaemonSet", "edge"), model="tiny", version="0.9.0"),
        {"metadata": {"name": "other", "namespace": "apps"}, "data": {"spec": [1]}, "revision": 1},
    ]
    api.lists[CRON_JOBS] = [cron_job("nightly", model="my-model", version="1.0.0")]
    api.lists[JOBS] = [
        workload("nightly-1", ("CronJob", "nightly"), model="my-model", version="1.0.0"),
        {
            **workload("done", model="my-model", version="0.2.0"),
            "status": {"conditions": [{"type": "Complete", "status": "True"}]},
        },
    ]
    api.lists[PODS] = [
        pod("chat-2-a", ("ReplicaSet", "chat-2"), injected=injected(version="1.3.0", asked="@champion")),
        pod("chat-2-b", ("ReplicaSet", "chat-2"), phase="Pending", injected=injected(version="1.3.0")),
        pod("search-0", ("StatefulSet", "search"), injected=injected("encoder", "2.0.0")),
        pod("nightly-1-x", ("Job", "nightly-1"), injected=injected(version="1.0.0")),
        pod("nightly-0-x", ("Job", "nightly-0"), phase="Succeeded", injected=injected(version="0.9.0")),
        pod("crashed", phase="Failed", injected=injected(version="0.8.0")),
        pod("alone", injected=injected(version="0.7.0")),
        pod("asks-only", model="my-model", version="0.6.0"),
    ]
    usage = read_usage(client, settings)
    assert words(usage) == [
        "CronJob/nightly my-model 1.0.0 pinned  ?",
        "CronJob/nightly my-model 1.0.0 pinned  created",
        "CronJob/nightly my-model 1.0.0 running nightly-1-x started",
        "DaemonSet/edge tiny 0.9.0 history  created",
        "DaemonSet/edge tiny 1.0.0 pinned  ?",
        "Deployment/chat my-model 1.2.3 history  created",
        "Deployment/chat my-model 1.3.0 history  created",
        "Deployment/chat my-model 1.3.0 pinned  ?",
        "Deployment/chat my-model 1.3.0 running chat-2-a started",
        "Deployment/chat my-model 1.3.0 running chat-2-b created",
        "Pod/alone my-model 0.7.0 running alone started",
        "ReplicaSet/bare my-model 0.1.0 pinned  created",
        "StatefulSet/search encoder 1.0.0 history  created",
        "StatefulSet/search encoder 2.0.0 pinned  ?",
        "StatefulSet/search encoder 2.0.0 running search-0 started",
    ]
    assert [path for _, path in api.requests][-2:] == ["/apis/argoproj.io/v1alpha1", PODS]


def test_a_reference_that_is_not_pinned_is_told_apart(
    api: ApiServer, client: KubernetesClient, settings: Settings
) -> None:
    api.lists[JOBS] = [workload("train", model="my-model", version="^1.2")]
    usage = read_usage(client, settings)
    assert usage.uses == ()
    assert usage.floating == (FloatingUse("default", "my-model", "^1.2", Workload("apps", "Job", "train")),)


def test_rollouts_and_the_platforms_kinds_are_read_if_the_cluster_has_them(
    api: ApiServer, client: KubernetesClient
) -> None:
    kinds = [
        {"group": "ray.io", "version": "v1", "resource": "rayclusters"},
        {"group": "apps", "version": "v1", "resource": "deployments"},
        {"group": "kserve.io", "version": "v1", "resource": "none"},
    ]
    settings = Settings.model_validate({"bucket": "my-ml-bucket", "workloads": {"kinds": kinds}})
    rollout, ray = {"name": "rollouts", "kind": "Rollout"}, {"name": "rayclusters", "kind": "RayCluster"}
    api.objects["/apis/argoproj.io/v1alpha1"] = {"resources": [{**rollout, "namespaced": True}]}
    api.objects["/apis/ray.io/v1"] = {"resources": [{**ray, "namespaced": True}]}
    api.lists[ROLLOUTS] = [workload("chat", model="my-model", version="1.2.3")]
    api.lists[REPLICA_SETS] = [workload("chat-1", ("Rollout", "chat"), model="my-model", version="1.0.0")]
    groups = [{"groupName": "gpu", "template": template(model="my-model", version="2.0.0")}]
    api.lists["/apis/ray.io/v1/rayclusters"] = [
        {"metadata": {"name": "train", "namespace": "ml"}, "spec": {"workerGroupSpecs": groups}},
        {"metadata": {"name": "large", "namespace": "ml"}, "spec": {"workerGroupSpecs": groups * 65}},
    ]
    usage = read_usage(client, settings)
    assert sorted(map(in_words, usage.uses)) == [
        "RayCluster/train my-model 2.0.0 pinned  ?",
        "Rollout/chat my-model 1.0.0 history  created",
        "Rollout/chat my-model 1.2.3 pinned  ?",
    ]
    assert usage.problems == (
        Problem("ml", "RayCluster large has more than 64 pod templates with annotations; split it"),
    )


def test_one_namespace_is_enough_for_a_user_who_may_read_only_that(
    api: ApiServer, client: KubernetesClient, settings: Settings
) -> None:
    api.lists = {path.replace("/v1/", "/v1/namespaces/apps/"): [] for path in LISTS}
    api.lists["/api/v1/namespaces/apps/pods"] = [pod("alone", injected=injected())]
    assert words(read_usage(client, settings, "apps")) == ["Pod/alone my-model 1.2.3 running alone started"]


def test_kinds_without_namespaces_are_not_in_one(api: ApiServer, client: KubernetesClient) -> None:
    kinds = [{"group": "serving.kserve.io", "version": "v1alpha1", "resource": "clusterservingruntimes"}]
    settings = Settings.model_validate({"bucket": "my-ml-bucket", "workloads": {"kinds": kinds}})
    path = "/apis/serving.kserve.io/v1alpha1"
    api.objects[path] = {
        "resources": [{"name": "clusterservingruntimes", "kind": "ClusterServingRuntime", "namespaced": False}]
    }
    spec = {"containers": [{"name": "a", "image": "a"}], "annotations": annotated(model="my-model", version="1.2.3")}
    api.lists[f"{path}/clusterservingruntimes"] = [{"metadata": {"name": "triton"}, "spec": spec}]
    assert words(read_usage(client, settings)) == ["ClusterServingRuntime/triton my-model 1.2.3 pinned  ?"]
    api.lists |= {each.replace("/v1/", "/v1/namespaces/apps/"): [] for each in LISTS}
    assert words(read_usage(client, settings, "apps")) == []


Setup = Callable[[ApiServer, pytest.MonkeyPatch], object]


@pytest.mark.parametrize(
    ("setup", "problem"),
    [
        (lambda api, _: setattr(api, "answer", 403), f"GET {DEPLOYMENTS}: the API server answers 403; docs/usage.md"),
        (lambda api, _: setattr(api, "keeps_lists", False), f"GET {PODS}: the API server answers 410"),
        (lambda api, _: api.lists.pop(JOBS), f"GET {JOBS}: the API server answers 404"),
        (lambda _, patch: patch.setattr(reading, "_MOST_PAGES", 1), "the list has more than 1 pages of 500 objects"),
        (lambda _, patch: patch.setattr(reading, "_SECONDS", -1), "the usage was not read within -1 s"),
        (lambda _, patch: patch.setattr(limits, "_LARGEST_BODY", 9000), f"GET {PODS}: the response takes more than"),
        (lambda api, _: api.lists[PODS].append({"metadata": {"name": "x"}}), "the response cannot be decoded"),
    ],
)
def test_what_is_not_the_whole_usage_is_an_error(
    api: ApiServer,
    client: KubernetesClient,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    setup: Setup,
    problem: str,
) -> None:
    api.lists[PODS] = [pod(f"pod-{number}", injected=injected()) for number in range(501)]
    setup(api, monkeypatch)
    with pytest.raises(ClusterError) as raised:
        read_usage(client, settings)
    assert problem in str(raised.value)


names = st.sampled_from(["a", "b", "c"])
volumes = st.lists(
    st.one_of(
        st.builds(lambda name: {"name": name, "persistentVolumeClaim": {"claimName": f"claim-{name}"}}, names),
        st.builds(lambda name: {"name": name, "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}, names),
        st.builds(lambda name: {"name": name, "emptyDir": {}}, names),
    ),
    max_size=3,
)
pods = st.lists(
    st.builds(
        lambda name, namespace, phase, volumes, annotations: pod(
            name, namespace=namespace, phase=phase, volumes=volumes, **annotations
        ),
        names,
        names,
        st.sampled_from(["Pending", "Running", "Unknown", "Succeeded", "Failed"]),
        volumes,
        st.sampled_from([{}, {"injected": injected()}, {"injected": "nonsense"}, {"inject": "false"}]),
    ),
    max_size=9,
)


@examples(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=pods, page=st.integers(1, 4))
def test_mounted_has_the_claims_of_every_pod_that_has_not_finished_and_no_others(
    api: ApiServer, client: KubernetesClient, settings: Settings, listed: list[JSON], page: int
) -> None:
    api.requests.clear()
    api.lists[PODS] = listed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webhook.kubernetes.paging.PAGE", page)
        found = read_usage(client, settings).mounted
    assert found == {
        Claim(
            each["metadata"]["namespace"],
            volume["persistentVolumeClaim"]["claimName"]
            if "persistentVolumeClaim" in volume
            else f"{each['metadata']['name']}-{volume['name']}",
        )
        for each in listed
        if each["status"]["phase"] not in ("Succeeded", "Failed")
        for volume in each["spec"]["volumes"]
        if "persistentVolumeClaim" in volume or "ephemeral" in volume
    }
