"""Lookups in S3: which pods wait for them, and which do not."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.admission.conftest import asking
from tests.catalog.conftest import PREFIX, published
from tests.catalog.webhook import Load, Run, ask, created, record_of, version_of
from tests.server.test_fault import post
from tests.support import moto_s3
from tests.support.faults import Drop, Request, Stall
from tests.support.faulty_proxy import FaultyProxy
from tests.support.known import known_settings
from tests.support.moto_s3 import MotoBucket
from tests.support.polling import until
from tests.support.reviews import review
from tests.support.webhook import Webhook
from webhook.catalog.bucket.listing import ModelListing, SourceListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.store import Store
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.refresh import CatalogRefresher
from webhook.catalog.resolution import VersionKey
from webhook.http.metrics import Metrics
from webhook.http.ops import Health
from webhook.server.mutate import MutateEndpoint


def test_versions_that_may_have_changed_are_looked_up_again_in_the_background(
    ready: Callable[..., Webhook], store: Store
) -> None:
    store.write("my-model-1.2.3/weights.bin", b"w" * 100)
    with ready().client() as client:
        assert record_of(created(client, asking()))["bytes"] == 100
        store.write("my-model-1.2.3/weights.bin", b"w" * 200)
        until(lambda: record_of(created(client, asking()))["bytes"] == 200)


def test_a_version_that_loses_the_required_tag_is_refused(
    ready: Callable[..., Webhook], store: Store, tmp_path: Path, bucket: MotoBucket
) -> None:
    published(store, tmp_path / "m", "1.2.3", tags={"published": "true"})
    with ready(requiredTag="published=true").client() as client:
        assert ask(client, asking())["response"]["allowed"] is True
        moto_s3.tag(bucket, f"{PREFIX}/my-model-1.2.3/manifest.json", {"published": "false"})
        until(lambda: ask(client, asking())["response"]["allowed"] is False)


def is_lookup_of_busy(request: Request) -> bool:
    return "/busy-" in request.query.get("prefix", "")


def test_pods_do_not_wait_for_lookups_in_the_background(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    for number in range(30):
        store.write(f"busy-1.{number}.0/weights.bin", b"w")
    published(store, tmp_path / "m", "1.2.3")
    webhook = ready()
    with webhook.client() as client:
        for number in range(30):
            created(client, asking(model="busy", version=f"1.{number}.0"))
        proxy.inject(Stall(), is_lookup_of_busy)
        proxy.wait_for(
            is_lookup_of_busy, proxy.count(is_lookup_of_busy) + 2
        )  # as many as there are threads in the background
        assert version_of(created(client, asking())) == "1.2.3"
        published(store, tmp_path / "m", "1.3.0")
        until(lambda: version_of(created(client, asking(version="latest"))) == "1.3.0")


@pytest.mark.alone
def test_more_lookups_than_there_are_threads_end_in_time(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    webhook = ready(other_constants={}, refreshSeconds=300)
    proxy.inject(Stall(), lambda request: "/unknown-" in request.query.get("prefix", ""))
    with Load(webhook, [asking(model=f"unknown-{number}") for number in range(200)], connections=16) as load:
        until(lambda: webhook.metrics().get('model_injector_catalog_lookups_total{state="late"}', 0) > 64)
    assert load.slowest < 2
    assert load.refused == []


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
        until(lambda: ask(client, asking(version="latest", source="research"))["response"].get("warnings"))
        assert "warnings" not in ask(client, asking(version="latest"))["response"]


def test_pods_that_wait_for_the_same_version_share_one_lookup(
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


def test_a_missing_version_is_looked_up_once_in_some_seconds(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    with ready(refreshSeconds=300).client() as client:
        proxy.requests.clear()
        for version in ("@nobody", "@nobody", "^9", "@nobody", ">2"):
            assert ask(client, asking(version=version))["response"]["allowed"] is False
        assert len(proxy.requests) == 2  # the model's folders, and its aliases


class Faulty(S3Catalog):
    """A catalog whose lookups fail with an internal error."""

    def look_up(self, key: VersionKey) -> VersionStatus | ModelListing:
        raise ZeroDivisionError(key.model)


def test_an_internal_error_in_a_lookup_refuses_no_pod_is_counted_and_leaves_other_pods_their_checks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings, metrics = known_settings(), Metrics()
    catalog = Faulty(settings)
    catalog.update("default", SourceListing())
    catalog.cache(VersionKey("default", "gone", "1.0.0"), VersionStatus("absent"))
    refresher = CatalogRefresher(catalog, metrics, Health(), required=False)
    app = MutateEndpoint(settings, refresher, metrics)
    _, faulty = asyncio.run(post(app, json.dumps(review(asking())).encode()))
    _, other = asyncio.run(post(app, json.dumps(review(asking(model="gone", version="1.0.0"))).encode()))
    refresher.close()
    assert json.loads(faulty["body"])["response"]["allowed"] is True
    assert json.loads(other["body"])["response"]["allowed"] is False
    assert "ZeroDivisionError" in caplog.text
    assert b'model_injector_catalog_errors_total{kind="Unexpected",source="default"} 1.0' in metrics.render()
