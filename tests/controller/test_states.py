"""The states of claims, as versions, Jobs and claims change."""

import pytest

from tests.controller.catalogs import catalog, digest, loading, version
from tests.controller.controlled import (
    HOME,
    JOB_NAME,
    NAME,
    ONE,
    PROBLEM,
    SETTINGS,
    SHARED,
    STATE,
    Controlled,
    kinds,
)
from tests.controller.memory import CLAIM, JOB, PARTIAL, PREFIX
from webhook.controller.published import Published


def test_a_claim_that_is_ready_needs_its_job_no_longer() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.cluster.remove((JOB, HOME, JOB_NAME))
    assert it.step() == []


def test_a_claim_that_was_deleted_and_created_again_is_loaded_again() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.cluster.remove((CLAIM, HOME, NAME))
    it.settle()
    assert it.state() == "loading"
    assert it.cluster.deleted == [(JOB, HOME, JOB_NAME)]
    it.cluster.collect()
    it.load()
    assert it.state() == "ready"


def test_claims_that_are_being_deleted_are_left_alone() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    other = catalog(version(SETTINGS, letter="b"))
    for name in (HOME, "team-a", "team-b"):
        it.cluster.objects[CLAIM, name, NAME]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    it.published = other
    assert it.step() == []


def test_a_claim_that_is_being_deleted_gets_no_job() -> None:
    it = Controlled(SETTINGS, ONE)
    it.step()
    it.cluster.objects[CLAIM, HOME, NAME]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert it.step() == []


def test_a_version_that_was_published_again_is_outdated_in_every_namespace() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    outcome = it.settle(catalog(version(SETTINGS, letter="b")))
    assert [it.state(name) for name in (HOME, "team-a", "team-b")] == ["outdated"] * 3
    assert outcome.states == {("shared-volume", "outdated"): 1}
    assert "delete this claim to load it again" in (it.annotation(PROBLEM, "team-a") or "")
    assert it.annotation(f"{PREFIX}/digest", "team-a") == digest("a")
    assert it.cluster.deleted == []
    it.settle(catalog(ONE))
    assert [it.state(name) for name in (HOME, "team-a", "team-b")] == ["ready"] * 3
    assert it.annotation(PROBLEM, "team-a") is None


def test_a_version_that_is_published_again_while_it_is_loaded_is_loaded_again() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    it.cluster.finish((JOB, HOME, JOB_NAME))
    it.published = catalog(version(SETTINGS, letter="b"))
    assert kinds(it.step()) == [("Label", CLAIM, HOME)]
    assert kinds(it.step()) == [("Delete", JOB, HOME)]
    assert it.step() == []
    it.cluster.collect()
    it.load()
    assert it.state() == "ready"
    assert it.annotation(f"{PREFIX}/digest") == digest("b")
    assert it.cluster.contents[it.cluster.objects[CLAIM, HOME, NAME]["metadata"]["uid"]] == digest("b")


@pytest.mark.parametrize(
    ("gone", "state", "reason"),
    [
        (Published({"default": {}}), "unpublished", "the catalog has the version no longer"),
        (catalog(version(SETTINGS, problem="it is withdrawn", is_withdrawn=True)), "withdrawn", "it is withdrawn"),
        (catalog(version(SETTINGS, problem="an object is missing")), "unpublished", "an object is missing"),
    ],
)
def test_no_new_pod_gets_a_version_that_is_gone_and_again_when_it_is_back(
    gone: Published, state: str, reason: str
) -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.settle(gone)
    for name in (HOME, "team-a", "team-b"):
        assert it.state(name) == state
        assert it.annotation(PROBLEM, name) == reason
    assert it.cluster.deleted == []
    it.settle(catalog(ONE))
    assert [it.state(name) for name in (HOME, "team-a", "team-b")] == ["ready"] * 3
    assert it.annotation(PROBLEM) is None
    assert it.annotation(SHARED) == "team-a,team-b"


def test_a_version_that_no_load_selects_any_more_stays_as_it_is() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.settings = loading({"strategy": "shared-volume", "versions": ">=2"})
    assert it.step() == []


def test_claims_of_a_source_that_was_not_listed_stay_as_they_are() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.settle(Published())
    assert it.state() == "ready"


def test_claims_stay_while_s3_does_not_tell_the_state_of_their_version() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.settle(catalog(version(SETTINGS, problem="S3 denies access", is_checked=False)))
    assert (it.state(), it.state("team-a")) == ("ready", "ready")


def test_claims_of_a_source_within_another_one_wait_until_both_are_listed() -> None:
    sources = {"inner": {"bucket": "my-ml-bucket", "prefix": "model-artifacts/inner"}}
    settings = loading({"strategy": "shared-volume", "source": "inner"}, sources=sources)
    inner = version(settings, source="inner")
    it = Controlled(settings)
    it.published = catalog(inner, source="inner")
    it.load()
    it.settle(Published({"default": {}}))
    assert it.state(of=inner) == "ready"
    it.settle(Published({"default": {}, "inner": {}}))
    assert it.state(of=inner) == "unpublished"


def test_two_stores_may_have_the_same_bucket() -> None:
    sources = {
        "other": {"bucket": "my-ml-bucket", "prefix": "model-artifacts", "endpointUrl": "https://s3.example.com"}
    }
    loads = ({"strategy": "shared-volume"}, {"strategy": "shared-volume", "source": "other"})
    settings = loading(*loads, sources=sources)
    here, there = version(settings), version(settings, source="other")
    it = Controlled(settings, here)
    it.published = Published(
        {**it.published.sources, **catalog(there, source="other").sources}, frozenset({here.artifact.uri})
    )
    it.load()
    assert (it.state(of=here), it.state(of=there)) == ("ready", "ready")


def test_claims_that_somebody_made_ready_are_shared() -> None:
    it = Controlled(SETTINGS, ONE)
    labels = {"app.kubernetes.io/managed-by": "model-injector", STATE: "ready"}
    requests = {"resources": {"requests": {"storage": "12Gi"}}}
    metadata = {"name": NAME, "namespace": HOME, "labels": labels}
    it.cluster.create({"apiVersion": "v1", "kind": CLAIM, "metadata": metadata, "spec": requests})
    it.settle()
    assert it.cluster.names(JOB) == []
    assert (it.state(), it.state("team-a")) == ("ready", "ready")


def test_a_job_that_somebody_created_proves_nothing() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    job = it.cluster.objects[JOB, HOME, JOB_NAME]
    del job["metadata"]["annotations"]
    it.cluster.finish((JOB, HOME, JOB_NAME))
    outcome = it.settle()
    assert it.state() == "loading"
    assert "does not say what it has loaded" in outcome.problems[0]
    assert it.cluster.deleted == []


def test_a_load_into_a_volume_that_is_a_part_of_a_model_is_not_ready() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    assert list(it.cluster.contents.values()) == [PARTIAL]
    assert it.state() == "loading"
