"""A real webhook with a catalog: what pods get, what S3's absence costs them, and what operators see."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.catalog.conftest import PREFIX, aliased, published
from tests.injection.conftest import JSON, asking
from tests.pinning.test_pinning import asking as workload_asking
from tests.pinning.test_pinning import template_of
from tests.support import moto_s3
from tests.support.faults import Answer, Drop, Fault, Request, Stall
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from tests.support.reviews import apply, operations, pod_of, review
from tests.support.webhook import Webhook, running_webhook
from webhook.catalog.store import Store

Run = Callable[..., AbstractContextManager[Webhook]]
DEPLOYMENT = {"group": "apps", "version": "v1", "kind": "Deployment"}


@pytest.fixture
def run(bucket: MotoBucket, proxy: FaultyProxy, tmp_path: Path) -> Run:
    """Runs a webhook on the bucket; arguments are other settings, and those of the group `catalog`."""

    def begin(others: JSON | None = None, **catalog: Any) -> AbstractContextManager[Webhook]:
        (tmp_path / "webhook").mkdir()
        settings = {
            "bucket": bucket.name,
            "prefix": PREFIX,
            "endpointUrl": proxy.url,
            "region": "us-east-1",
            "catalog": {"mode": "s3", "refreshSeconds": 1, "preflight": "enforce", **catalog},
            **(others or {}),
        }
        return running_webhook(tmp_path / "webhook", settings, env=moto_s3.CREDENTIALS)

    return begin


@pytest.fixture
def ready(run: Run) -> Iterator[Callable[..., Webhook]]:
    stack: list[Any] = []

    def begin(**catalog: Any) -> Webhook:
        context = run(**catalog)
        webhook = context.__enter__()
        stack.append(context)
        until(lambda: webhook.ops("/readyz").status_code == 200)
        until(lambda: webhook.metrics()['model_injector_catalog_age_seconds{source="default"}'] < 1000)
        return webhook

    yield begin
    for context in stack:
        context.__exit__(None, None, None)


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def ask(client: httpx.Client, pod: JSON, **request: Any) -> JSON:
    found: JSON = client.post("/mutate", json=review(pod, **request)).json()
    return found


def created(client: httpx.Client, pod: JSON) -> JSON:
    """The pod as it comes out of the admission chain."""
    answer = ask(client, pod)
    assert answer["response"]["allowed"], answer
    return apply(pod, operations(answer))


def record_of(pod: JSON) -> JSON:
    """What is recorded of a pod's only model."""
    (record,) = json.loads(pod["metadata"]["annotations"]["model-injector.io/injected"])
    assert isinstance(record, dict)
    return record


def version_of(pod: JSON) -> str:
    found: str = record_of(pod)["version"]
    return found


def applied(client: httpx.Client, new: JSON, old: JSON | None = None) -> JSON:
    """A Deployment as it is stored."""
    request = {"kind": DEPLOYMENT, "operation": "UPDATE" if old else "CREATE", "oldObject": old}
    answer = ask(client, new, **request)
    assert answer["response"]["allowed"], answer
    return apply(new, operations(answer))


def test_from_publishing_to_a_pod_and_on_to_the_next_version(
    ready: Callable[..., Webhook], store: Store, tmp_path: Path
) -> None:
    manifest = published(store, tmp_path / "m", "1.2.3")
    published(store, tmp_path / "m", "2.0.0")
    aliased(store, "my-model", champion="1.2.3")
    webhook = ready()
    with webhook.client() as client:
        deployment = applied(client, workload_asking())
        pod = created(client, pod_of(deployment))
        record = record_of(pod)
        assert (record["asked"], record["version"]) == ("@champion", "1.2.3")
        assert (record["files"], record["bytes"]) == (2, manifest.size)
        assert len(record["digest"]) == 64
        (fetch,) = pod["spec"]["initContainers"]
        stored = list(store.objects("my-model-1.2.3/"))
        assert fetch["args"][2] == f"{len(stored)},{sum(each.size for each in stored)}"
        assert pod["spec"]["volumes"][0]["emptyDir"] == {"sizeLimit": "1Mi"}

        aliased(store, "my-model", champion="2.0.0")
        until(lambda: version_of(created(client, asking(version="@champion"))) == "2.0.0")
        scaled = applied(client, {**deployment, "spec": {**deployment["spec"], "replicas": 9}}, deployment)
        assert {version_of(created(client, pod_of(scaled))) for _ in range(9)} == {"1.2.3"}
        restarted = json.loads(json.dumps(scaled))
        template_of(restarted)["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"
        rolled_out = applied(client, restarted, scaled)
        assert version_of(created(client, pod_of(rolled_out))) == "2.0.0"
        assert version_of(created(client, pod_of(scaled))) == "1.2.3"  # a rollback


def test_a_refusal_names_the_nearest_that_there_is(ready: Callable[..., Webhook], store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    with ready().client() as client:
        refused = ask(client, asking(version="1.2.4"))["response"]
    assert refused["allowed"] is False
    assert "my-model has no version 1.2.4" in refused["status"]["message"]
    assert "1.2.3" in refused["status"]["message"]


def test_what_was_published_a_moment_ago_is_found(ready: Callable[..., Webhook], store: Store, tmp_path: Path) -> None:
    webhook = ready(refreshSeconds=300)
    with webhook.client() as client:
        published(store, tmp_path / "m", "1.2.3")
        assert version_of(created(client, asking())) == "1.2.3"
    assert webhook.metrics()['model_injector_catalog_lookups_total{state="published"}'] == 1


def test_what_was_published_and_named_a_moment_ago_is_pinned_at_once(
    ready: Callable[..., Webhook], store: Store, tmp_path: Path
) -> None:
    with ready(refreshSeconds=300).client() as client:
        for model, version in (("my-model", "1.2.3"), ("my-model", "1.3.0"), ("my-org/other", "7")):
            published(store, tmp_path / "m", version, model=model)
            aliased(store, model, champion=version)
        assert version_of(created(client, pod_of(applied(client, workload_asking())))) == "1.3.0"
        assert version_of(created(client, asking(version="^1"))) == "1.3.0"
        assert version_of(created(client, asking(model="my-org/other", version="latest"))) == "7"
        assert version_of(created(client, asking(model="my-org/other", version="@champion"))) == "7"


def test_what_is_not_there_is_looked_for_once_in_seconds(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    with ready(refreshSeconds=300).client() as client:
        proxy.requests.clear()
        for version in ("@nobody", "@nobody", "^9", "@nobody", ">2"):
            assert ask(client, asking(version=version))["response"]["allowed"] is False
        assert len(proxy.requests) == 2  # the model's folders, and its aliases


def test_however_many_pods_wait_a_version_is_looked_at_once(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    webhook = ready(refreshSeconds=300)
    proxy.requests.clear()

    def one(_: int) -> str:
        with webhook.client() as client:
            return version_of(created(client, asking()))

    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(one, range(40))) == {"1.2.3"}
    assert proxy.count(lambda request: request.is_download() and request.key.endswith("manifest.json")) == 1
    assert proxy.count(Request.is_listing) == 1


class Load:
    """Pods that are created one after the other on connections of their own, until it ends."""

    def __init__(self, webhook: Webhook, pods: list[JSON], connections: int = 8) -> None:
        self.webhook, self.bodies = webhook, [json.dumps(review(pod)) for pod in pods]
        self.slowest, self.count, self.refused = 0.0, 0, list[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(connections)]

    def _run(self, number: int) -> None:
        with self.webhook.client() as client:
            while not self._stop.is_set():
                for body in self.bodies[number:] + self.bodies[:number]:
                    started = time.perf_counter()
                    answer = client.post("/mutate", content=body)
                    self.slowest = max(self.slowest, time.perf_counter() - started)
                    self.count += 1
                    if answer.status_code != 200 or not answer.json()["response"]["allowed"]:
                        self.refused.append(answer.text)
                time.sleep(0.01)  # the test shares two processors with the webhook

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("fault", [Drop(), Stall()])
def test_s3_away_under_load_fails_no_known_version_and_keeps_nobody_waiting(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path, fault: Fault
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    webhook = ready()
    with webhook.client() as client:
        created(client, asking())
    known = [asking(), asking(version="@champion"), asking(version="^1.2"), asking(version="latest")]
    unknown = [asking(version=f"9.{number}.0") for number in range(4)]
    proxy.inject(fault, lambda _: True)
    with Load(webhook, known + unknown) as load:
        time.sleep(12)  # more than two of each: refreshes, their retries, and seconds for which a miss is remembered
    assert load.refused == []
    assert load.count > 500
    assert load.slowest < 1.2
    with webhook.client() as client:
        answer = ask(client, asking(version="@champion"))["response"]
        assert any("S3 can't be listed" in warning for warning in answer["warnings"])
    metrics = webhook.metrics()
    assert metrics['model_injector_catalog_age_seconds{source="default"}'] > 10
    assert metrics['model_injector_catalog_errors_total{kind="Away",source="default"}'] >= 2
    assert metrics["model_injector_errors_total"] == 0
    proxy.heal()
    until(lambda: webhook.metrics()['model_injector_catalog_age_seconds{source="default"}'] < 5)


def test_a_server_that_may_start_without_s3_is_ready_within_seconds(run: Run, proxy: FaultyProxy) -> None:
    proxy.inject(Stall(), lambda _: True)
    started = time.monotonic()
    with run() as webhook, webhook.client() as client:
        until(lambda: webhook.ops("/readyz").status_code == 200)
        assert time.monotonic() - started < 15
        assert ask(client, asking())["response"]["allowed"] is True
        refused = ask(client, asking(version="@champion"))["response"]
        assert "could not be read yet" in refused["status"]["message"]


def test_a_server_that_needs_s3_is_ready_once_it_has_answered(run: Run, proxy: FaultyProxy) -> None:
    proxy.inject(Drop(), lambda _: True)
    with run(required=True) as webhook:
        time.sleep(3)
        assert webhook.ops("/readyz").text == "the catalog has not been read yet: default"
        proxy.heal()
        until(lambda: webhook.ops("/readyz").status_code == 200)


def test_a_stop_waits_for_no_s3(run: Run, proxy: FaultyProxy) -> None:
    with run() as webhook:
        until(lambda: webhook.ops("/readyz").status_code == 200)
        proxy.inject(Stall(), lambda _: True)
        proxy.wait_for(lambda request: request.is_listing(), proxy.count(Request.is_listing) + 1)
        started = time.monotonic()
        webhook.process.terminate()
        assert webhook.process.wait(30) == 0
    assert time.monotonic() - started < 10


def test_operators_see_what_the_catalog_has(ready: Callable[..., Webhook], store: Store, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        published(store, tmp_path / "m", version)
    published(store, tmp_path / "m", "1.0.0", model="other")
    webhook = ready()
    metrics = webhook.metrics()
    assert metrics['model_injector_catalog_models{source="default"}'] == 2
    assert metrics['model_injector_catalog_versions{source="default"}'] == 3
    assert 0 <= metrics['model_injector_catalog_age_seconds{source="default"}'] < 5
    (line,) = (line for line in webhook.log() if line["message"] == "catalog read")
    assert (line["source"], line["models"], line["versions"]) == ("default", 2, 3)


def test_no_secret_stands_in_the_log(ready: Callable[..., Webhook], proxy: FaultyProxy) -> None:
    webhook = ready()
    proxy.inject(Drop(), lambda _: True)
    until(lambda: "catalog not read" in (webhook.folder / "log").read_text())
    assert moto_s3.CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in (webhook.folder / "log").read_text().replace(
        str(webhook.folder), ""
    )


def test_what_may_have_changed_is_looked_at_again_in_the_background(
    ready: Callable[..., Webhook], store: Store
) -> None:
    store.write("my-model-1.2.3/weights.bin", b"w" * 100)
    with ready().client() as client:
        assert record_of(created(client, asking()))["bytes"] == 100
        store.write("my-model-1.2.3/weights.bin", b"w" * 200)
        until(lambda: record_of(created(client, asking()))["bytes"] == 200)


def test_a_tag_that_is_taken_away_takes_the_version_away(
    ready: Callable[..., Webhook], store: Store, tmp_path: Path, bucket: MotoBucket
) -> None:
    published(store, tmp_path / "m", "1.2.3", tags={"published": "true"})
    with ready(requiredTag="published=true").client() as client:
        assert ask(client, asking())["response"]["allowed"] is True
        moto_s3.tag(bucket, f"{PREFIX}/my-model-1.2.3/manifest.json", {"published": "false"})
        until(lambda: ask(client, asking())["response"]["allowed"] is False)


def test_an_answer_that_makes_no_sense_refuses_no_pod_and_is_counted(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    webhook = ready(refreshSeconds=300)
    odd = b'<?xml version="1.0"?><ListBucketResult><Contents><Key>x</Key><Size>big</Size></Contents></ListBucketResult>'
    proxy.inject(Answer(200, odd, (("Content-Type", "application/xml"),)), Request.is_listing)
    with webhook.client() as client:
        answer = ask(client, asking())["response"]
    assert answer["allowed"] is True
    assert any("not checked" in warning for warning in answer["warnings"])
    metrics = webhook.metrics()
    assert sum(value for name, value in metrics.items() if name.startswith("model_injector_catalog_errors_total")) == 1
    assert metrics["model_injector_errors_total"] == 0


def test_pods_do_not_wait_for_what_is_looked_at_in_the_background(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    for number in range(30):
        store.write(f"busy-1.{number}.0/weights.bin", b"w")
    published(store, tmp_path / "m", "1.2.3")
    webhook = ready()
    with webhook.client() as client:
        for number in range(30):
            created(client, asking(model="busy", version=f"1.{number}.0"))
        proxy.inject(Stall(), lambda request: "/busy-" in request.query.get("prefix", ""))
        time.sleep(2)
        assert version_of(created(client, asking())) == "1.2.3"
        published(store, tmp_path / "m", "1.3.0")
        until(lambda: version_of(created(client, asking(version="latest"))) == "1.3.0", seconds=10)


def test_more_looks_than_there_are_threads_for_end_in_time(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    webhook = ready(refreshSeconds=300)
    proxy.inject(Stall(), lambda request: "/unknown-" in request.query.get("prefix", ""))
    with Load(webhook, [asking(model=f"unknown-{number}") for number in range(200)], connections=16) as load:
        time.sleep(4)
    assert load.slowest < 1.2
    assert load.refused == []
    assert webhook.metrics()['model_injector_catalog_lookups_total{state="late"}'] > 64


def test_two_sources_are_two_catalogs(run: Run, s3: str, proxy: FaultyProxy, store: Store, tmp_path: Path) -> None:
    other = moto_s3.make_bucket(s3)
    other.put("my-model-9.0.0/weights.bin", b"w")
    published(store, tmp_path / "m", "1.2.3")
    research = {"bucket": other.name, "endpointUrl": proxy.url, "region": "us-east-1"}
    with run({"sources": {"research": research}}) as webhook, webhook.client() as client:
        until(lambda: webhook.ops("/readyz").status_code == 200)
        until(lambda: webhook.metrics()['model_injector_catalog_versions{source="research"}'] == 1)
        assert version_of(created(client, asking(version="latest"))) == "1.2.3"
        assert version_of(created(client, asking(version="latest", source="research"))) == "9.0.0"
        proxy.inject(Drop(), lambda request: request.target.startswith(f"/{other.name}"))
        until(lambda: webhook.metrics()['model_injector_catalog_age_seconds{source="research"}'] > 3)
        assert "warnings" not in ask(client, asking(version="latest"))["response"]
        assert ask(client, asking(version="latest", source="research"))["response"]["warnings"]
