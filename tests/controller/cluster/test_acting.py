"""The request of each step, and what becomes of its answer."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import ApiServer, Received
from webhook.controller.cluster.acting import Actor, StepFailed
from webhook.controller.cluster.cache import Cache
from webhook.controller.cluster.watching import Watch
from webhook.controller.observed import Claim
from webhook.controller.steps import (
    CLAIMS,
    DEPLOYMENTS,
    JOBS,
    VOLUMES,
    Create,
    Delete,
    Emit,
    Label,
    ObjectRef,
    Resource,
    Rewrite,
)
from webhook.kubernetes.client import ClusterError, KubernetesClient

JSON = dict[str, Any]
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "team-a"}}
PATH = "/api/v1/namespaces/team-a/persistentvolumeclaims"
MANAGER = {"fieldManager": "model-injector-controller"}


@pytest.fixture
def cache(client: KubernetesClient) -> Cache:
    """A cache of claims."""
    found = Cache(client)
    found.watch(Watch(CLAIMS, Claim), lambda: None)
    return found


@pytest.fixture
def actor(client: KubernetesClient, cache: Cache) -> Actor:
    return Actor(client, cache, "controller-0")


def put(api: ApiServer, resource: Resource = CLAIMS, namespace: str = "team-a") -> ObjectRef:
    """An object, as it was observed."""
    metadata = {"uid": "u", "labels": {"theirs": "1"}, **({"namespace": namespace} if namespace else {})}
    found = api.put(resource.path(namespace, "c"), {"kind": resource.kind, "metadata": metadata})
    return ObjectRef(resource, namespace, "c", "u", found["metadata"]["resourceVersion"])


def sent(api: ApiServer) -> Received:
    (received,) = api.received
    return received


def test_an_object_is_created_and_seen_at_once(api: ApiServer, actor: Actor, cache: Cache) -> None:
    assert actor.take(Create(CLAIM)) == "ok"
    assert sent(api) == ("POST", PATH, MANAGER, "application/json", CLAIM)
    assert list(cache.objects(CLAIMS)) == [("team-a", "c")]


def test_an_object_of_the_whole_cluster_is_created(api: ApiServer, actor: Actor) -> None:
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}}
    assert actor.take(Create(volume)) == "ok"
    assert sent(api).path == "/api/v1/persistentvolumes"


def test_an_object_that_exists_is_left_as_it_is(api: ApiServer, actor: Actor, cache: Cache) -> None:
    put(api)
    assert actor.take(Create(CLAIM)) == "conflict"
    assert api.objects[f"{PATH}/c"]["metadata"]["labels"] == {"theirs": "1"}
    assert cache.objects(CLAIMS) == {}


def test_labels_are_applied_to_the_object_as_it_was_observed(api: ApiServer, actor: Actor, cache: Cache) -> None:
    of = put(api)
    assert actor.take(Label(of, {"state": "ready"}, {"digest": "d"})) == "ok"
    metadata = {
        "name": "c",
        "namespace": "team-a",
        "uid": "u",
        "resourceVersion": of.resource_version,
        "labels": {"state": "ready"},
        "annotations": {"digest": "d"},
    }
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    assert sent(api) == ("PATCH", f"{PATH}/c", {**MANAGER, "force": "true"}, "application/apply-patch+yaml", body)
    assert cache.objects(CLAIMS)["team-a", "c"].labels == {"theirs": "1", "state": "ready"}


def test_the_body_of_an_object_of_the_whole_cluster_has_no_namespace(api: ApiServer, actor: Actor) -> None:
    assert actor.take(Label(put(api, VOLUMES, ""), {}, {})) == "ok"
    assert "namespace" not in sent(api).body["metadata"]


def test_a_workload_is_rewritten_with_its_template(api: ApiServer, actor: Actor) -> None:
    of = put(api, DEPLOYMENTS)
    assert actor.take(Rewrite(of, {"from": "1.2.3", "to": None}, {"version": "1.3.0"})) == "ok"
    method, path, query, kind, body = sent(api)
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/team-a/deployments/c")
    assert (query, kind) == (MANAGER, "application/merge-patch+json")
    identity = {"uid": "u", "resourceVersion": of.resource_version}
    assert body == {
        "metadata": {**identity, "annotations": {"from": "1.2.3", "to": None}},
        "spec": {"template": {"metadata": {"annotations": {"version": "1.3.0"}}}},
    }


def test_a_template_is_not_touched_unless_that_is_asked_for(api: ApiServer, actor: Actor) -> None:
    assert actor.take(Rewrite(put(api, DEPLOYMENTS), {"to": None})) == "ok"
    assert "spec" not in sent(api).body


@pytest.mark.parametrize(("resource", "policy"), [(CLAIMS, "Background"), (JOBS, "Foreground")])
def test_an_object_is_deleted_as_it_was_observed_and_a_job_after_its_pods(
    api: ApiServer, actor: Actor, resource: Resource, policy: str
) -> None:
    of = put(api, resource)
    assert actor.take(Delete(of, "nothing uses it")) == "ok"
    preconditions = {"uid": "u", "resourceVersion": of.resource_version}
    body = {"propagationPolicy": policy, "preconditions": preconditions}
    assert sent(api) == ("DELETE", resource.path("team-a", "c"), {}, "application/json", body)
    assert api.objects == {}


@pytest.mark.parametrize("change", ["changed", "gone"])
@pytest.mark.parametrize("kind", ["Label", "Rewrite", "Delete"])
def test_a_step_about_an_object_that_has_changed_conflicts(
    api: ApiServer, actor: Actor, change: str, kind: str
) -> None:
    of = put(api)
    if change == "gone":
        api.objects.clear()
    else:
        put(api)
    before = dict(api.objects)
    if kind == "Label" and change == "gone":
        api.answer = 409  # the real one finds no object with that uid
    steps: dict[str, Any] = {"Label": Label(of, {"a": "1"}, {}), "Rewrite": Rewrite(of, {}), "Delete": Delete(of, "")}
    assert actor.take(steps[kind]) == "conflict"
    assert api.objects == before


def test_an_event_is_written_about_an_object(api: ApiServer, actor: Actor) -> None:
    of = ObjectRef(CLAIMS, "team-a", "c", "u", "7")
    assert actor.take(Emit(of, "Warning", "Failed", "it failed")) == "ok"
    method, path, query, kind, body = sent(api)
    assert (method, query, kind) == ("PATCH", {**MANAGER, "force": "true"}, "application/apply-patch+yaml")
    name = body["metadata"]["name"]
    assert path == f"/api/v1/namespaces/team-a/events/{name}"
    assert name.startswith("c.")
    about = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "team-a", "name": "c", "uid": "u"}
    assert body["involvedObject"] == about
    assert (body["type"], body["reason"], body["message"], body["count"]) == ("Warning", "Failed", "it failed", 1)
    assert body["reportingInstance"] == "controller-0"
    assert body["firstTimestamp"] == body["lastTimestamp"]


def test_events_of_the_whole_cluster_are_in_the_default_namespace(api: ApiServer, actor: Actor) -> None:
    actor.take(Emit(ObjectRef(VOLUMES, "", "v", "u", "7"), "Normal", "Ready", "it is ready"))
    assert sent(api).path.startswith("/api/v1/namespaces/default/events/v.")


def test_different_events_have_different_names(api: ApiServer, actor: Actor) -> None:
    of = ObjectRef(CLAIMS, "team-a", "c" * 253, "u", "7")
    for message in ("one", "two"):
        actor.take(Emit(of, "Normal", "Ready", message))
    names = {each.body["metadata"]["name"] for each in api.received}
    assert len(names) == 2
    assert max(map(len, names)) <= 253


def test_an_event_with_a_name_is_written_again(api: ApiServer, actor: Actor) -> None:
    of = ObjectRef(CLAIMS, "team-a", "c", "u", "7")
    for message in ("half", "done"):
        assert actor.take(Emit(of, "Normal", "Downloading", message, name="c.progress")) == "ok"
    assert api.objects["/api/v1/namespaces/team-a/events/c.progress"]["message"] == "done"


def test_a_long_message_of_an_event_is_cut(api: ApiServer, actor: Actor) -> None:
    actor.take(Emit(ObjectRef(CLAIMS, "team-a", "c", "u", "7"), "Normal", "Ready", "x" * 5000))
    assert len(sent(api).body["message"]) == 1000


STEPS = [
    Create(CLAIM),
    Label(ObjectRef(CLAIMS, "team-a", "c", "u", "7"), {}, {}),
    Rewrite(ObjectRef(DEPLOYMENTS, "team-a", "c", "u", "7"), {}),
    Delete(ObjectRef(JOBS, "team-a", "c", "u", "7"), ""),
    Emit(ObjectRef(CLAIMS, "team-a", "c", "u", "7"), "Normal", "Ready", ""),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 503])
def test_a_refusal_fails_with_the_reason(api: ApiServer, actor: Actor, cache: Cache, step: Any, status: int) -> None:
    api.answer, api.body = status, b'{"reason": "Forbidden", "message": "exceeded quota: models"}'
    with pytest.raises(StepFailed, match=f"answers {status}: Forbidden exceeded quota: models") as raised:
        actor.take(step)
    assert f"{step.target[1]}/" in str(raised.value)
    assert cache.objects(CLAIMS) == {}


@pytest.mark.parametrize("body", [b"<html>token=secret</html>", b"[]", b"", b"[" * 100_000, b'{"message": 1}'])
def test_a_refusal_that_is_no_status_is_not_quoted(api: ApiServer, actor: Actor, body: bytes) -> None:
    api.answer, api.body = 403, body
    with pytest.raises(StepFailed) as raised:
        actor.take(Create(CLAIM))
    assert str(raised.value) == f"POST {PATH}: the API server answers 403:  "


def test_a_long_reason_is_cut(api: ApiServer, actor: Actor) -> None:
    api.answer, api.body = 422, b'{"message": "%s"}' % (b"x" * 100_000)
    with pytest.raises(StepFailed) as raised:
        actor.take(Create(CLAIM))
    assert len(str(raised.value)) < 1200


@pytest.mark.parametrize("step", STEPS[:2], ids=lambda step: type(step).__name__)
def test_an_answer_that_is_no_object_fails(api: ApiServer, actor: Actor, cache: Cache, step: Any) -> None:
    api.answer, api.body = 200, b"<html>"
    with pytest.raises(ClusterError, match="the response is not an object"):
        actor.take(step)
    assert cache.objects(CLAIMS) == {}


def test_without_an_answer_a_step_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ApiServer(port=1).connect(tmp_path, monkeypatch)
    with pytest.raises(ClusterError, match=f"POST {PATH}"):
        Actor(KubernetesClient(), Cache(KubernetesClient()), "me").take(Create(CLAIM))
