"""Between the decision about rollouts, and the cluster and the catalog."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import pytest

from tests.controller.following import PREFIX, Cluster
from tests.support.known import Known, known_settings, published
from webhook.catalog.bucket.listing import ModelListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.resolution import LookupRequired, VersionKey
from webhook.controller.areas import Rollouts, lacking
from webhook.controller.catalog import CatalogReader
from webhook.controller.cluster.acting import _rewrite
from webhook.controller.loop import Taker
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Claim, Key
from webhook.controller.published import Published
from webhook.controller.steps import Resource, Rewrite, Step
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name, labels
from webhook.settings import Settings

CHAMPION = VersionKey("default", "my-model", "@champion")


class Recorder:
    """Takes steps, and keeps them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def take(self, groups: Sequence[Sequence[Step]]) -> float | None:
        self.steps += [step for group in groups for step in group]
        return None


class State:
    """What an area is told."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.meanings, self.followed = (
            cluster,
            dict[VersionKey, Artifact | str](),
            frozenset[VersionKey](),
        )

    def published(self) -> Published:
        return Published(meanings=self.meanings)

    def objects(self, resource: Resource) -> Mapping[Key, Any]:
        found = (self.cluster.workload(key) for key in self.cluster.objects if key[1] == resource.kind)
        return {each.key: each for each in found}

    def follow(self, references: frozenset[VersionKey]) -> None:
        self.followed = references


def area_of(settings: Settings) -> tuple[Rollouts, Recorder, ControllerMetrics]:
    recorder, metrics = Recorder(), ControllerMetrics()
    return Rollouts(settings, metrics, cast("Taker", recorder)), recorder, metrics


def test_what_workloads_follow_is_resolved_and_then_rolled_out() -> None:
    cluster = Cluster()
    cluster.add()
    state, (area, recorder, metrics) = State(cluster), area_of(cluster.settings)
    assert area.decide(state) is None
    assert recorder.steps == []
    assert state.followed == {CHAMPION}
    assert b'model_injector_controller_rollouts{state="blocked"} 1.0' in metrics.render()
    state.meanings[CHAMPION] = Artifact("my-model", "2.0.0", cluster.settings.all_sources["default"])
    area.decide(state)
    assert isinstance(recorder.steps[0], Rewrite)
    assert b'model_injector_controller_rollouts{state="progressing"} 1.0' in metrics.render()


def test_argo_rollouts_are_watched_only_where_their_templates_are_pinned() -> None:
    settings = Cluster().settings
    named = Settings(bucket="my-ml-bucket", workloads={"kinds": [ARGO]})
    plurals = [[watch.resource.plural for watch in area_of(each)[0].watches()] for each in (settings, named)]
    assert plurals[0] == ["deployments", "statefulsets", "daemonsets", "persistentvolumeclaims"]
    assert plurals[1] == [*plurals[0][:3], "rollouts", plurals[0][3]]
    selectors = {watch.selector for watch in area_of(settings)[0].watches()}
    assert selectors == {f"{PREFIX}/follow=true", "app.kubernetes.io/managed-by=model-injector"}


ARGO = {"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts"}


@pytest.mark.parametrize("strategy", ["shared-volume", "s3-mount", "node-image"])
def test_a_version_is_loaded_when_its_claim_in_the_namespace_is_ready(strategy: str) -> None:
    settings = Settings(bucket="my-ml-bucket")
    artifact = Artifact("my-model", "2.0.0", settings.all_sources["default"])
    metadata = {
        "name": claim_name(strategy, artifact),
        "namespace": "apps",
        "labels": {**labels(PREFIX, artifact, "loading")},
    }
    given = {"metadata": metadata, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}

    def lack() -> str | None:
        claim = msgspec.convert(given, Claim)
        return lacking({claim.key: claim}, settings)("apps", strategy, artifact)

    assert "its state is loading" in (lack() or "")
    metadata["labels"] = {**labels(PREFIX, artifact, "ready")}
    assert lack() is None
    metadata["namespace"] = "elsewhere"
    assert "has no claim" in (lack() or "")


def test_an_image_has_to_be_in_the_catalog_and_a_download_needs_nothing() -> None:
    settings = Settings(bucket="my-ml-bucket")
    artifact = Artifact("my-model", "2.0.0", settings.all_sources["default"])
    lack = lacking({}, settings)
    assert lack("apps", "oci-image", artifact) == "the catalog has no image of my-model 2.0.0"
    pushed = msgspec.structs.replace(artifact, image=f"registry.example.com/my-model@sha256:{'a' * 64}")
    assert lack("apps", "oci-image", pushed) is None
    assert lack("apps", "s3-init", artifact) is None


class Lookups(Known):
    """A catalog that has looked up nothing."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, {"my-model": ("1.2.3", "2.0.0")}, {"my-model": {"champion": "1.2.3"}})
        self._versions.clear()
        self.keys: list[VersionKey] = []
        self.answer = published()

    def look_up(self, key: VersionKey) -> VersionStatus | ModelListing:
        self.keys.append(key)
        return self.answer


@pytest.fixture
def reader() -> CatalogReader:
    settings = known_settings()
    found = CatalogReader(settings, expires=False)
    found.catalog = Lookups(settings)
    return found


def resolved(reader: CatalogReader, *references: VersionKey) -> Mapping[VersionKey, Artifact | str]:
    reader.follow(frozenset(references))
    return reader.resolved(Published()).meanings


def versions(meanings: Mapping[VersionKey, Artifact | str]) -> dict[str, str]:
    return {key.version: each if isinstance(each, str) else each.version for key, each in meanings.items()}


class TestCatalog:
    def test_references_are_looked_up_once(self, reader: CatalogReader) -> None:
        latest = VersionKey("default", "my-model", "latest")
        assert versions(resolved(reader, CHAMPION, latest)) == {"@champion": "1.2.3", "latest": "2.0.0"}
        assert versions(resolved(reader, CHAMPION, latest)) == {"@champion": "1.2.3", "latest": "2.0.0"}
        catalog = cast("Lookups", reader.catalog)
        assert {key.version for key in catalog.keys} == {"1.2.3", "2.0.0"}
        assert len(catalog.keys) == 2

    def test_what_cannot_be_resolved_has_a_reason(self, reader: CatalogReader) -> None:
        nobody = VersionKey("default", "my-model", "@nobody")
        nowhere = VersionKey("nowhere", "my-model", "latest")
        found = versions(resolved(reader, nobody, nowhere))
        assert "has no alias @nobody" in found["@nobody"]
        assert "write default" in found["latest"]

    def test_what_s3_does_not_confirm_is_unknown(self, reader: CatalogReader) -> None:
        cast("Lookups", reader.catalog).answer = VersionStatus("unreachable", error="timeout")
        (found,) = resolved(reader, CHAMPION).values()
        assert isinstance(found, str)

    def test_a_range_does_not_mean_an_older_version_because_the_newest_does_not_answer(
        self, reader: CatalogReader
    ) -> None:
        reader.catalog.cache(VersionKey("default", "my-model", "1.2.3"), published())
        cast("Lookups", reader.catalog).answer = VersionStatus("unreachable", error="timeout")
        (found,) = resolved(reader, VersionKey("default", "my-model", "latest")).values()
        assert isinstance(found, str)
        assert "2.0.0" in found

    def test_only_new_references_wake_the_catalog(self, reader: CatalogReader) -> None:
        reader.follow(frozenset({CHAMPION}))
        assert reader.wait(0)
        reader.resolved(Published())
        reader.follow(frozenset({CHAMPION}))
        assert not reader.wait(0)
        reader.follow(frozenset())
        assert not reader.wait(0)

    def test_lookups_end(self, reader: CatalogReader, monkeypatch: pytest.MonkeyPatch) -> None:
        def resolve(_request: object) -> None:
            raise LookupRequired([CHAMPION])

        monkeypatch.setattr(reader.catalog, "resolve", resolve)
        (found,) = resolved(reader, CHAMPION).values()
        assert isinstance(found, str)


def test_a_rewrite_is_one_request_that_fails_if_the_workload_has_changed() -> None:
    cluster = Cluster()
    key = cluster.add()
    cluster.moves("2.0.0")
    step = cluster.decide().steps[0][0]
    assert isinstance(step, Rewrite)
    body = _rewrite(step)
    assert body["metadata"]["resourceVersion"] == cluster.objects[key]["metadata"]["resourceVersion"]
    assert set(body["metadata"]) == {"uid", "resourceVersion", "annotations", "labels"}
    assert set(body["spec"]["template"]["metadata"]["annotations"]) == {f"{PREFIX}/pinned"}
