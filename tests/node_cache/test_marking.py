"""The driver's own node: labels for what its cache has, and the startup taint."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.node_cache.conftest import publish
from tests.node_cache.driver import Node, running_node
from tests.support.api_server import ApiServer, running_api_server
from tests.support.polling import until
from webhook.catalog.bucket.store import Store
from webhook.kubernetes.client import ApiResponse, ClusterError, KubernetesClient, RequestBody
from webhook.model.objects import cached_label
from webhook.node_cache.entry import Marker, key_of
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.marking import Marking, cached_labels
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.node_object import mark
from webhook.node_cache.protocol import Mark
from webhook.node_cache.refusals import Refused
from webhook.settings import Settings

JSON = dict[str, Any]
MIB = 1 << 20
NODE = "/api/v1/nodes/node-1"
OURS = "model-injector.io/cached-"
STALE = f"{OURS}0000000000000000"
OWN = {"kubernetes.io/hostname": "node-1", "model-injector.io/gpu": "a100"}
STARTUP: JSON = {"key": "model-injector.io/node-cache-not-ready", "effect": "NoSchedule"}
GPU: JSON = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """An API server with a node that was marked before."""
    with running_api_server() as api:
        api.put(NODE, {"metadata": {"labels": {**OWN, STALE: "true"}}, "spec": {"taints": [STARTUP, GPU]}})
        yield api


def labels(api: ApiServer) -> set[str]:
    """The labels of the node that are the driver's. The others have to be as they were."""
    found: dict[str, str] = api.objects[NODE]["metadata"]["labels"]
    assert OWN.items() <= found.items()
    assert {found[name] for name in found.keys() - OWN.keys()} <= {"true"}
    return found.keys() - OWN.keys()


def taints(api: ApiServer) -> list[JSON]:
    found: list[JSON] = api.objects[NODE]["spec"]["taints"]
    return found


def label_of(settings: JSON, version: str) -> str:
    """The label that pods with this version of my-model prefer."""
    uri = f"s3://{settings['bucket']}/{settings['prefix']}/my-model-{version}"
    return f"model-injector.io/{cached_label(settings['endpointUrl'], uri)}"


def with_options(settings: JSON, **options: object) -> JSON:
    return {**settings, "options": options}


def test_a_node_has_labels_for_what_its_cache_has(api: ApiServer, store: Store, settings: JSON, tmp_path: Path) -> None:
    for number in range(3):
        publish(store, tmp_path, {"weights.bin": bytes([number]) * 4 * MIB}, f"{number}.0.0")
    zero, one, two = (label_of(settings, f"{number}.0.0") for number in range(3))
    options = with_options(settings, placement=True, budget="10Mi")
    with running_node(options, KUBECONFIG=str(api.kubeconfig(tmp_path))) as node:
        until(lambda: labels(api) == set())
        for version in ("0.0.0", "1.0.0"):
            node.mount(version=version)
            node.unmount()
        until(lambda: labels(api) == {zero, one})
        node.mount(version="2.0.0")
        until(lambda: labels(api) == {one, two})
        node.stop()
        api.put(NODE, {"metadata": {"labels": {**OWN, zero: "true"}}, "spec": {"taints": [STARTUP]}})
        node.start()
        until(lambda: labels(api) == {one, two})
    assert STARTUP in taints(api)


def test_a_node_is_untainted_when_it_has_what_the_settings_name(
    api: ApiServer, store: Store, settings: JSON, tmp_path: Path
) -> None:
    publish(store, tmp_path, {"weights.bin": b"w"})
    asked = {**settings, "catalog": {"mode": "s3"}}
    options = with_options(asked, startupTaint=True, prefetch=[{"models": ["my-model"]}])
    with running_node(options, KUBECONFIG=str(api.kubeconfig(tmp_path))) as node:
        until(lambda: taints(api) == [GPU])
        assert node.metrics()["versions"] == 1


def test_a_node_stays_tainted_while_a_version_is_missing(
    api: ApiServer, node: Node, settings: JSON, tmp_path: Path
) -> None:
    node.stop()
    prefetch = [{"models": ["my-model"], "versions": version} for version in ("1.0.0", "9.9.9")]
    node.settings = {**settings, "catalog": {"mode": "s3"}}
    node.settings = with_options(node.settings, startupTaint=True, placement=True, prefetch=prefetch)
    node.env["KUBECONFIG"] = str(api.kubeconfig(tmp_path))
    node.start()
    until(lambda: any(line["message"] == "version not fetched in advance" for line in node.log()))
    until(lambda: labels(api) == {label_of(settings, "1.0.0")})
    assert taints(api) == [STARTUP, GPU]


def test_without_the_settings_no_request_is_sent(api: ApiServer, node: Node, tmp_path: Path) -> None:
    node.stop()
    node.env["KUBECONFIG"] = str(api.kubeconfig(tmp_path))
    node.start()
    node.mount()
    assert api.requests == []


class Recording:
    """What is asked of the worker, which refuses while there is a problem."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], str]] = []
        self.problem = ""

    async def mark(self, node: str, prefix: str, labels: tuple[str, ...], taint: str) -> None:
        assert (node, prefix) == ("node-1", OURS)
        self.asked.append((labels, taint))
        if self.problem:
            raise Refused("Incomplete", self.problem)


class Marked:
    """A marking whose cache, clock and readiness a test changes."""

    def __init__(self, root: Path, **options: object) -> None:
        settings = Settings(bucket="my-ml-bucket", strategies={"node-cache": options})
        self.folder, self.worker, self.now, self.is_ready = CacheFolder(root), Recording(), 0.0, False
        self.metrics, self.settings = CacheMetrics(), settings
        self.marking = Marking(
            node="node-1",
            folder=self.folder,
            worker=self.worker,
            settings=settings,
            metrics=self.metrics,
            is_ready=lambda: self.is_ready,
            changed=asyncio.Event(),
            clock=lambda: self.now,
        )

    def look(self) -> list[tuple[tuple[str, ...], str]]:
        """Look once: what the worker is asked."""
        self.worker.asked.clear()
        asyncio.run(self.marking.look())
        return list(self.worker.asked)

    def add(self, version: str = "1.0.0", source: str = "default", endpoint: str = "", digest: str = "d") -> str:
        """Have a version in the cache. Gives its label."""
        uri = f"s3://my-ml-bucket/my-model-{version}"
        key = key_of(uri, endpoint, digest)
        self.folder.partial(key)
        self.folder.finish(
            key, Marker(source, "my-model", version, uri, digest, 1, 1, 1, "size", "2026-01-01T00:00:00Z")
        )
        return cached_label(endpoint, uri)


def test_the_api_server_is_asked_after_a_change_and_now_and_then(tmp_path: Path) -> None:
    marked = Marked(tmp_path, placement=True)
    assert marked.look() == [((), "")]
    assert marked.look() == []
    label = f"model-injector.io/{marked.add()}"
    assert marked.look() == [((label,), "")]
    marked.now = 599
    assert marked.look() == []
    marked.now = 601
    assert marked.look() == [((label,), "")]


def test_the_taint_is_removed_when_the_cache_is_ready(tmp_path: Path) -> None:
    marked = Marked(tmp_path, startupTaint=True)
    marked.add()
    assert marked.look() == [((), "")]
    marked.is_ready = True
    assert marked.look() == [((), "model-injector.io/node-cache-not-ready")]
    only_labels = Marked(tmp_path, placement=True)
    only_labels.is_ready = True
    ((_, taint),) = only_labels.look()
    assert taint == ""


def test_a_failure_is_counted_each_time_logged_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marked = Marked(tmp_path, placement=True)
    marked.worker.problem = "forbidden"
    for _ in range(2):
        assert marked.look()
    assert [record.getMessage() for record in caplog.records] == ["node not marked"]
    assert b"marking_failures_total 2.0" in marked.metrics.render()
    marked.worker.problem = ""
    assert marked.look()
    assert marked.look() == []


def test_a_cache_that_was_deleted_does_not_end_the_marking(tmp_path: Path) -> None:
    marked = Marked(tmp_path, placement=True)
    (tmp_path / "versions").rmdir()
    assert marked.look() == []
    (tmp_path / "versions").mkdir()
    assert marked.look() == [((), "")]


def test_versions_that_no_pod_can_ask_for_have_no_label(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    label = marked.add()
    assert marked.add(digest="other") == label
    marked.add("2.0.0", source="removed")
    marked.add("3.0.0", endpoint="https://former.example.com")
    assert cached_labels(marked.folder.entries().values(), marked.settings) == (label,)


def test_a_node_has_labels_for_the_two_hundred_versions_that_were_mounted_last(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    added = [marked.add(f"1.{number}.0") for number in range(201)]
    entries = [
        msgspec.structs.replace(entry, used_at=float(entry.marker.version.split(".")[1]))
        for entry in marked.folder.entries().values()
    ]
    assert cached_labels(entries, marked.settings) == tuple(sorted(added[1:]))


class Contended(KubernetesClient):
    """Before each of the first patches, somebody adds a taint."""

    def __init__(self, api: ApiServer, times: int) -> None:
        super().__init__()
        self._api, self._times = api, times

    def request(self, method: str, path: str, body: RequestBody | None = None, **more: Any) -> ApiResponse:
        if method == "PATCH" and self._times:
            self._times -= 1
            node = self._api.objects[NODE]
            self._api.put(NODE, {**node, "spec": {"taints": [*taints(self._api), {"key": f"t{self._times}"}]}})
        return super().request(method, path, body, **more)


def request(labels: Sequence[str] = (), taint: str = STARTUP["key"]) -> Mark:
    return Mark(1, "node-1", OURS, tuple(labels), taint)


@pytest.fixture
def connected(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    api.connect(tmp_path, monkeypatch)
    return api


def test_taints_that_are_added_meanwhile_stay(connected: ApiServer) -> None:
    mark(Contended(connected, 2), request([f"{OURS}1"]))
    assert taints(connected) == [GPU, {"key": "t1"}, {"key": "t0"}]
    assert labels(connected) == {f"{OURS}1"}


def test_a_node_that_never_stays_the_same_is_given_up_for_now(connected: ApiServer) -> None:
    with pytest.raises(ClusterError, match="the node changed 5 times"):
        mark(Contended(connected, 100), request())
    assert STARTUP in taints(connected)


def test_a_taint_is_removed_whatever_its_effect(connected: ApiServer) -> None:
    both = [{**STARTUP, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    connected.put(NODE, {"metadata": {}, "spec": {"taints": both}})
    mark(KubernetesClient(), request())
    assert taints(connected) == []


@pytest.mark.parametrize("node", [{"metadata": {}}, {"metadata": {"labels": None}, "spec": {"taints": None}}])
def test_a_node_that_needs_nothing_is_not_patched(connected: ApiServer, node: JSON) -> None:
    connected.put(NODE, node)
    mark(KubernetesClient(), request())
    assert connected.requests == [("GET", NODE)]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_answer_that_is_an_error_says_which(connected: ApiServer, status: int) -> None:
    connected.answer = status
    with pytest.raises(ClusterError, match=f"GET {NODE}: the API server answers {status}"):
        mark(KubernetesClient(), request())
