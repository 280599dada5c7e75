"""A real webhook while S3 is unreachable."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.admission.conftest import asking
from tests.catalog.conftest import aliased, published
from tests.catalog.webhook import Load, Run, ask, created
from tests.support.faults import Answer, Drop, Fault, Request, Stall
from tests.support.faulty_proxy import FaultyProxy
from tests.support.polling import until
from tests.support.webhook import Webhook
from webhook.catalog.bucket.store import Store

HURRIED = {
    "webhook.catalog.refresh._RETRY_SECONDS": 1,
    "webhook.catalog.refresh._FIRST_SECONDS": 1,
    "webhook.catalog.refresh._S3_SECONDS": 2,
    "webhook.catalog.lookup.s3._TEMPORARY_SECONDS": 1,
}
"""Seconds of a webhook that is in a hurry: it gives S3 up sooner, and asks it again sooner."""
UNREACHABLE = 'model_injector_catalog_errors_total{kind="Unreachable",source="default"}'


def age(webhook: Webhook) -> float:
    """Of the listing that versions are chosen from, in seconds."""
    return webhook.metrics()['model_injector_catalog_age_seconds{source="default"}']


def says_so(client: httpx.Client) -> bool:
    """Whether who asks for an alias hears that it may be old."""
    warnings = ask(client, asking(version="@champion"))["response"].get("warnings", [])
    return any("S3 cannot be listed" in warning for warning in warnings)


@pytest.mark.alone
@pytest.mark.parametrize("fault", [Drop(), Stall()])
def test_under_load_an_unreachable_s3_fails_no_cached_version_and_delays_no_pod(
    ready: Callable[..., Webhook], store: Store, proxy: FaultyProxy, tmp_path: Path, fault: Fault
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    webhook = ready(other_constants=HURRIED)
    with webhook.client() as client:
        created(client, asking())
    known = [asking(), asking(version="@champion"), asking(version="^1.2"), asking(version="latest")]
    unknown = [asking(version=f"9.{number}.0") for number in range(4)]
    proxy.inject(fault, lambda _: True)
    with Load(webhook, known + unknown) as load, webhook.client() as client:
        until(
            lambda: (
                load.count > 500 and webhook.metrics().get(UNREACHABLE, 0) >= 2 and age(webhook) > 3 and says_so(client)
            )
        )
    assert load.refused == []
    assert load.slowest < 2  # S3 is given up after twice two seconds, and a pod does not wait for that
    assert webhook.metrics()["model_injector_errors_total"] == 0
    proxy.heal()
    until(lambda: age(webhook) < 3)


@pytest.mark.alone
def test_a_server_that_may_start_without_s3_is_ready_before_s3_is_given_up(run: Run, proxy: FaultyProxy) -> None:
    proxy.inject(Stall(), lambda _: True)
    with run(other_constants={"webhook.catalog.refresh._FIRST_SECONDS": 0.5}) as webhook, webhook.client() as client:
        until(lambda: webhook.ops("/readyz").status_code == 200)
        assert UNREACHABLE not in webhook.metrics()
        assert ask(client, asking())["response"]["allowed"] is True
        refused = ask(client, asking(version="@champion"))["response"]
        assert "has not been read yet" in refused["status"]["message"]


def test_a_server_that_needs_s3_is_ready_once_it_has_answered(run: Run, proxy: FaultyProxy) -> None:
    proxy.inject(Drop(), lambda _: True)
    with run(required=True, other_constants={"webhook.catalog.refresh._FIRST_SECONDS": 0.1}) as webhook:
        until(lambda: webhook.metrics().get(UNREACHABLE, 0) >= 2)
        assert webhook.ops("/readyz").text == "the catalog has not been read yet: default"
        proxy.heal()
        until(lambda: webhook.ops("/readyz").status_code == 200)


def test_a_stop_does_not_wait_for_s3(run: Run, proxy: FaultyProxy) -> None:
    with run() as webhook:
        until(lambda: webhook.ops("/readyz").status_code == 200)
        proxy.inject(Stall(), lambda _: True)
        proxy.wait_for(lambda request: request.is_listing(), proxy.count(Request.is_listing) + 1)
        started = time.monotonic()
        webhook.process.terminate()
        assert webhook.process.wait(30) == 0
    assert time.monotonic() - started < 10


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
