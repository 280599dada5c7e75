"""A real webhook with a catalog: what pods get, what S3's absence costs them, and what operators see."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.admission.conftest import asking
from tests.admission.test_pinning import asking as workload_asking
from tests.admission.test_pinning import template_of
from tests.catalog.conftest import aliased, published
from tests.catalog.webhook import applied, ask, created, record_of, version_of
from tests.support.faults import Answer
from tests.support.faulty_proxy import FaultyProxy
from tests.support.polling import until
from tests.support.reviews import pod_of
from tests.support.webhook import Webhook
from webhook.catalog.bucket.store import Store


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


def test_of_what_s3_says_the_log_has_code_and_message_alone(ready: Callable[..., Webhook], proxy: FaultyProxy) -> None:
    """S3 repeats what it was sent and signed with, where a signature is wrong."""
    webhook = ready()
    said = b"<Code>SignatureDoesNotMatch</Code><Message>wrong</Message><StringToSign>hush-hush</StringToSign>"
    proxy.inject(Answer(403, b"<Error>%b</Error>" % said, (("Content-Type", "application/xml"),)), lambda _: True)
    until(lambda: "SignatureDoesNotMatch: wrong" in (webhook.folder / "log").read_text())
    assert "hush-hush" not in (webhook.folder / "log").read_text()
