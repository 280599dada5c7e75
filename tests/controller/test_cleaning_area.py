"""When the controller cleans up, and what it tags in S3, against an API server and a real S3 server."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.controller.catalogs import digest, loading
from tests.support import moto_s3
from tests.support.api_server import ApiServer, running_api_server
from tests.support.clock import Clock
from tests.usage.objects import LISTS, PODS, injected, pod
from webhook.catalog.bucket.store import Store
from webhook.controller import areas
from webhook.controller.areas import Cleaning
from webhook.controller.cluster.acting import Actor
from webhook.controller.cluster.cache import Cache
from webhook.controller.loop import Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Claim, Key, Metadata
from webhook.controller.published import Model, Published, Version
from webhook.controller.steps import CLAIMS, Resource
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.model.artifact import Artifact

FILES = ("a.bin", "manifest.json")
HOUR = 3600
PREFIX = "model-injector.io"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.connect(tmp_path, monkeypatch)
        api.lists = {path: [] for path in LISTS}
        yield api


class Cleaned:
    """An area, its clock, and what it sees: two versions that may be removed, and nothing in the cluster."""

    def __init__(self, bucket: moto_s3.MotoBucket, api: ApiServer) -> None:
        cleaning = {"enabled": True, "s3_tag": "state=expired", "interval": HOUR}
        self.settings = loading(
            bucket=bucket.name,
            prefix="",
            endpoint_url=bucket.url,
            region="us-east-1",
            controller={"namespace": "model-injector", "cleaning": cleaning},
        )
        self.store, self.metrics, self.api, self._clock = (
            Store(self.settings.all_sources["default"]),
            ControllerMetrics(),
            api,
            Clock(),
        )
        self.claims: dict[Key, Claim] = {}
        self._versions = dict[str, Version]()
        for name in ("1.0.0", "2.0.0"):
            for file in FILES:
                bucket.put(f"my-model-{name}/{file}", b"x")
            artifact = Artifact("my-model", name, self.store.source, 1, 1, digest("a"))
            self._versions[name] = Version(artifact, is_expired=True, expiry="unused")
        client = KubernetesClient()
        taker = Taker(Actor(client, Cache(client), "me"), self.metrics)
        self.area = Cleaning(self.settings, self.metrics, taker, client)

    def published(self) -> Published:
        uris = frozenset(version.artifact.uri for version in self._versions.values())
        return Published({"default": {"my-model": Model(self._versions)}}, uris)

    def objects(self, resource: Resource) -> Mapping[Key, Any]:
        return self.claims if resource is CLAIMS else {}

    def follow(self, references: Any) -> None:
        raise AssertionError(references)

    def run(self, monkeypatch: pytest.MonkeyPatch, seconds: float = HOUR) -> float | None:
        """Decide so many seconds later."""
        self._clock.now += seconds
        monkeypatch.setattr(areas, "monotonic", self._clock)
        return self.area.decide(self)

    def keep(self, name: str) -> None:
        """The version gets an alias."""
        self._versions[name] = replace(self._versions[name], is_expired=False, expiry="it has the alias champion")

    def tagged(self) -> list[str]:
        """The versions whose manifests have the tag."""
        names = (f"my-model-{name}" for name in self._versions)
        return [name for name in names if self.store.tags(f"{name}/manifest.json") == {"state": "expired"}]

    def counted(self, step: str) -> float:
        return float(self.metrics.tagged.labels(step)._value.get())


@pytest.fixture
def cleaned(s3: str, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cleaned]:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    cleaned = Cleaned(moto_s3.make_bucket(s3), api)
    with closing(cleaned.store):
        yield cleaned


BOTH = ["my-model-1.0.0", "my-model-2.0.0"]


def test_a_version_is_tagged_when_it_could_be_removed_at_two_runs(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cleaned.run(monkeypatch) == HOUR
    assert cleaned.tagged() == []
    assert cleaned.run(monkeypatch, HOUR - 1) == 1
    assert cleaned.tagged() == []
    cleaned.run(monkeypatch, 1)
    assert cleaned.tagged() == BOTH
    assert cleaned.counted("tag") == 2
    cleaned.run(monkeypatch)
    assert cleaned.counted("tag") == 2


def test_a_version_that_was_used_in_between_is_not_tagged(cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned.run(monkeypatch)
    uri = cleaned.store.uri("my-model-1.0.0")
    cleaned.api.lists[PODS] = [pod("web", injected=injected(version="1.0.0", uri=uri))]
    cleaned.run(monkeypatch)
    cleaned.api.lists[PODS] = []
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == ["my-model-2.0.0"]
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == BOTH


def test_a_version_that_is_used_again_loses_the_tag(cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    uri = cleaned.store.uri("my-model-1.0.0")
    cleaned.api.lists[PODS] = [pod("web", injected=injected(version="1.0.0", uri=uri))]
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == ["my-model-2.0.0"]
    assert cleaned.counted("untag") == 1


def test_a_version_with_a_claim_loses_the_tag(cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    annotations = {f"{PREFIX}/uri": cleaned.store.uri("my-model-1.0.0")}
    cleaned.claims[("apps", "claim")] = Claim(Metadata("claim", "apps", annotations=annotations))
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == ["my-model-2.0.0"]


def test_a_version_that_gets_an_alias_loses_the_tag_at_once(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    cleaned.keep("1.0.0")
    read = len(cleaned.api.requests)
    cleaned.run(monkeypatch, 1)
    assert cleaned.tagged() == ["my-model-2.0.0"]
    assert len(cleaned.api.requests) == read, "the uses in the cluster do not matter"
    caplog.set_level(logging.INFO)
    caplog.clear()
    cleaned.run(monkeypatch, 1)
    assert "?tagging" not in caplog.text, "it is done"


def test_while_uses_may_be_missing_nothing_is_tagged(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cleaned.run(monkeypatch)
    cleaned.api.lists[PODS] = [pod("odd", injected="not JSON")]
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == []
    (record,) = (each for each in caplog.records if each.getMessage() == "uses may be missing")
    assert "Pod apps/odd" in record.fields["problem"]  # type: ignore[attr-defined]
    cleaned.api.lists[PODS] = []
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == [], "two runs in a row"
    cleaned.run(monkeypatch)
    assert cleaned.tagged() == BOTH


def test_one_version_that_cannot_be_tagged_does_not_stop_the_others(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ten = {f"tag-{number}": "x" for number in range(10)}
    moto_s3.tag(moto_s3.MotoBucket(cleaned.settings.endpoint_url, cleaned.settings.bucket), "my-model-1.0.0/a.bin", ten)
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    assert cleaned.store.tags("my-model-1.0.0/a.bin") == ten, "S3 allows ten tags"
    assert cleaned.store.tags("my-model-2.0.0/a.bin") == {"state": "expired"}
    assert cleaned.counted("tag") == 1
    assert float(cleaned.metrics.errors.labels("cleaning")._value.get()) == 1
    (record,) = (each for each in caplog.records if each.getMessage() == "tags not changed")
    assert "my-model-1.0.0" in record.fields["problem"]  # type: ignore[attr-defined]


def test_tagging_that_was_interrupted_is_completed(cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned.store.add_tag("my-model-1.0.0/manifest.json", "state=expired")
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    assert cleaned.store.tags("my-model-1.0.0/a.bin") == {"state": "expired"}


def test_a_version_whose_deletion_has_begun_is_left_to_the_lifecycle_rule(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned.store.delete("my-model-1.0.0/manifest.json")
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    assert cleaned.store.tags("my-model-1.0.0/a.bin") == {}
    assert float(cleaned.metrics.errors.labels("cleaning")._value.get()) == 0


def test_a_run_that_failed_is_repeated_and_does_not_count(cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned.api.answer = 500
    with pytest.raises(ClusterError):
        cleaned.run(monkeypatch)
    cleaned.api.answer = None
    assert cleaned.run(monkeypatch, 1) == HOUR
    assert cleaned.tagged() == []


def test_without_a_tag_nothing_is_asked_of_s3(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = cleaned.settings.controller.cleaning.model_copy(update={"s3_tag": ""})
    controller = cleaned.settings.controller.model_copy(update={"cleaning": options})
    cleaned.area._settings = cleaned.settings.model_copy(update={"controller": controller})
    caplog.set_level(logging.INFO)
    cleaned.run(monkeypatch)
    cleaned.run(monkeypatch)
    assert "?tagging" not in caplog.text
