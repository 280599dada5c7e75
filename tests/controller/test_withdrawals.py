"""Events about pods that run a withdrawn version."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.support.api_server import ApiServer, running_api_server
from tests.support.clock import Clock
from tests.usage.objects import DEPLOYMENTS, LISTS, PODS, REPLICA_SETS, injected, pod, workload
from webhook.catalog.resolution import VersionKey
from webhook.controller import areas, run
from webhook.controller.areas import Withdrawals
from webhook.controller.cluster.acting import Actor
from webhook.controller.cluster.cache import Cache
from webhook.controller.loop import Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.published import Published
from webhook.kubernetes.client import KubernetesClient
from webhook.settings import Settings

KEY = VersionKey("default", "my-model", "1.2.3")
OWNER = ("ReplicaSet", "chat-1")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster with a pod that runs my-model 1.2.3, and others that do not."""
    monkeypatch.setattr(areas, "_USAGE_SECONDS", 0)
    with running_api_server() as api:
        api.connect(tmp_path, monkeypatch)
        api.lists = {path: [] for path in LISTS}
        api.lists[DEPLOYMENTS] = [workload("chat", model="my-model", version="1.2.3")]
        api.lists[REPLICA_SETS] = [workload(OWNER[1], ("Deployment", "chat"), model="my-model", version="1.2.3")]
        api.lists[PODS] = [
            pod("chat-1-a", OWNER, injected=injected()),
            pod("done", injected=injected(), phase="Succeeded"),
            pod("other", injected=injected(version="2.0.0")),
        ]
        yield api


class Told:
    """An area, and the catalog that it sees."""

    def __init__(self) -> None:
        client, metrics = KubernetesClient(), ControllerMetrics()
        settings = Settings(bucket="my-ml-bucket", prefix="model-artifacts")
        self.withdrawn = {KEY: "it answers in the wrong language"}
        self._area = Withdrawals(settings, Taker(Actor(client, Cache(client), "me"), metrics), client)

    def published(self) -> Published:
        return Published(withdrawn=self.withdrawn)

    def objects(self, resource: Any) -> dict[Any, Any]:
        raise AssertionError(resource)

    def follow(self, references: Any) -> None:
        raise AssertionError(references)

    def decide(self) -> float | None:
        return self._area.decide(self)


def writes(api: ApiServer) -> list[str]:
    return [path for method, path in api.requests if method == "PATCH"]


def test_each_pod_that_runs_a_withdrawn_version_gets_an_event(api: ApiServer) -> None:
    Told().decide()
    (event,) = api.objects.values()
    assert (event["type"], event["reason"]) == ("Warning", "ModelWithdrawn")
    assert event["message"] == (
        "my-model 1.2.3 is withdrawn: it answers in the wrong language; "
        "new pods of Deployment chat with this version are refused"
    )
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "apps",
        "name": "chat-1-a",
        "uid": "uid-of-chat-1-a",
    }


def test_a_pod_is_told_once_by_a_process_within_half_an_hour_and_another_process_writes_the_same_event(
    api: ApiServer,
) -> None:
    told = Told()
    told.decide()
    told.decide()
    assert len(writes(api)) == 1
    Told().decide()
    assert len(writes(api)) == 2
    assert len(api.objects) == 1


def test_a_pod_that_runs_on_is_told_again_before_its_event_is_gone(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = Clock(), Told()
    monkeypatch.setattr(areas, "monotonic", clock)
    told.decide()
    clock.now += 1799
    told.decide()
    assert len(writes(api)) == 1
    clock.now += 1
    told.decide()
    assert len(writes(api)) == 2
    assert len(api.objects) == 1, "it is the same event"


def test_a_new_pod_and_a_version_that_is_withdrawn_again_are_told(api: ApiServer) -> None:
    told = Told()
    told.decide()
    api.lists[PODS].append(pod("chat-1-b", OWNER, injected=injected()))
    told.decide()
    assert [path.rpartition("/")[2].rpartition(".")[0] for path in writes(api)] == ["chat-1-a", "chat-1-b"]
    told.withdrawn = {VersionKey("default", "my-model", "9.9.9"): "of another version"}
    told.decide()
    told.withdrawn = {KEY: "again"}
    told.decide()
    assert len(writes(api)) == 4


def test_an_event_that_was_refused_is_written_later(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.controller.loop.pause", lambda _: 0.0)
    refusing, patch = Event(), api.patch
    refusing.set()
    monkeypatch.setattr(api, "patch", lambda *request: (403, {}) if refusing.is_set() else patch(*request))
    told = Told()
    told.decide()
    assert not api.objects
    refusing.clear()
    told.decide()
    assert len(api.objects) == 1


def test_it_is_done_only_if_the_setting_says_so(api: ApiServer) -> None:
    assert api
    client, metrics = KubernetesClient(), ControllerMetrics()
    for enabled in (False, True):
        controller = {"withdrawals": {"enabled": enabled}}
        settings = Settings.model_validate({"bucket": "my-ml-bucket", "controller": controller})
        found = run.areas(settings, metrics, Taker(Actor(client, Cache(client), "me"), metrics), client)
        assert [area.name for area in found] == ["withdrawals"] * enabled


def test_while_nothing_is_withdrawn_nothing_is_read(api: ApiServer) -> None:
    told = Told()
    told.withdrawn = {}
    assert told.decide() is None
    assert not api.requests
