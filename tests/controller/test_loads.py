"""Which objects published versions get, step by step."""

from tests.controller.catalogs import catalog, digest, loading, version
from tests.controller.controlled import (
    ALONE,
    HOME,
    JOB_NAME,
    MOUNT,
    NAME,
    ONE,
    PROBLEM,
    SETTINGS,
    SHARED,
    Controlled,
    kinds,
)
from tests.controller.memory import CLAIM, JOB, PREFIX, REFERENCE, VOLUME, namespace
from webhook.controller.steps import Label
from webhook.model.objects import job_name


def test_a_version_gets_its_claim_then_its_job() -> None:
    it = Controlled(SETTINGS, ONE)
    assert kinds(it.step()) == [("Create", CLAIM, HOME)]
    assert kinds(it.step()) == [("Label", CLAIM, HOME), ("Create", JOB, HOME)]
    assert it.step() == []
    assert it.state() == "loading"
    assert it.annotation(f"{PREFIX}/digest") is None
    assert it.annotation(f"{PREFIX}/digest", kind=JOB) == digest("a")
    assert it.decide().states == {("shared-volume", "loading"): 1}


def test_a_claim_is_ready_only_after_its_job_is_complete_and_shared_only_after_that() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    it.cluster.finish((JOB, HOME, JOB_NAME))
    assert kinds(it.step()) == [("Label", CLAIM, HOME), ("Emit", "Event", HOME)]
    assert it.state() == "ready"
    assert it.annotation(SHARED) == "team-a,team-b"
    assert it.cluster.names(REFERENCE) == []
    assert kinds(it.step()) == [
        ("Create", REFERENCE, "team-a"),
        ("Create", CLAIM, "team-a"),
        ("Create", REFERENCE, "team-b"),
        ("Create", CLAIM, "team-b"),
    ]
    assert (it.state("team-a"), it.state("team-b")) == ("ready", "ready")
    assert it.annotation("trident.netapp.io/shareFromPVC", "team-a") == f"{HOME}/{NAME}"
    assert it.annotation(f"{PREFIX}/digest", "team-a") == digest("a")
    assert it.step() == []
    assert it.decide().states == {("shared-volume", "ready"): 1}


def test_only_so_many_jobs_run_at_once_and_newer_versions_come_first() -> None:
    versions = [version(SETTINGS, f"{number}.0.0") for number in range(5)]
    it = Controlled(loading(controller={"max_concurrent_jobs": 2}), *versions)
    it.settle()
    names = [job_name("shared-volume", each.artifact) for each in versions]
    assert it.cluster.names(JOB) == [(JOB, HOME, names[3]), (JOB, HOME, names[4])]
    assert it.decide().states == {("shared-volume", "loading"): 2, ("shared-volume", "waiting"): 3}
    it.cluster.finish((JOB, HOME, names[3]), "Failed")
    it.settle()
    assert {name for *_, name in it.cluster.names(JOB)} == {names[4], names[3], names[2]}
    for _ in versions:
        it.load()
    assert len(it.cluster.names(JOB)) == 5


def test_a_volume_whose_claim_is_gone_is_replaced() -> None:
    """A PersistentVolume that was bound stays with that claim, also when there is a new claim of its name."""
    it = Controlled(MOUNT, ONE, namespaces=[])
    it.settle()
    (claim,), (volume,) = it.cluster.names(CLAIM), it.cluster.names(VOLUME)
    bound = it.cluster.objects[volume]["metadata"]["uid"]
    it.cluster.remove(claim)
    it.cluster.objects[volume]["status"] = {"phase": "Released"}
    assert kinds(it.step()) == [("Delete", VOLUME, ""), ("Create", CLAIM, HOME)]
    assert it.step() == []
    it.cluster.collect()
    assert it.settle().steps == ()
    assert it.cluster.names(VOLUME) == [volume]
    assert it.cluster.objects[volume]["metadata"]["uid"] != bound
    assert it.cluster.names(CLAIM) == [claim]


def test_a_version_that_s3_does_not_show_is_reported_and_not_loaded() -> None:
    it = Controlled(SETTINGS, version(SETTINGS, problem="S3 denies the webhook access", is_checked=False))
    assert it.decide().problems == (f"{ONE.artifact.uri}: S3 denies the webhook access",)
    assert it.decide().steps == ()


def test_namespaces_do_not_wait_for_each_other() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    it.cluster.finish((JOB, HOME, JOB_NAME))
    it.step()
    groups = it.decide().steps
    assert [{step.target[1] for step in group} for group in groups] == [{"team-a"}, {"team-b"}]


def test_a_namespace_that_appears_gets_its_claim_after_the_loaded_one_is_shared_with_it() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.cluster.create(namespace("team-c"))
    assert kinds(it.step()) == [("Label", CLAIM, HOME)]
    assert it.annotation(SHARED) == "team-a,team-b,team-c"
    assert kinds(it.step()) == [("Create", REFERENCE, "team-c"), ("Create", CLAIM, "team-c")]
    it.cluster.remove(("Namespace", "", "team-a"))
    it.settle()
    assert it.annotation(SHARED) == "team-b,team-c"


def test_without_other_namespaces_a_claim_is_shared_with_none() -> None:
    it = Controlled(SETTINGS, ONE, namespaces=("team-a",))
    it.load()
    it.cluster.remove(("Namespace", "", "team-a"))
    it.settle()
    assert it.annotation(SHARED) is None
    assert it.state() == "ready"


def test_nothing_is_created_in_a_namespace_that_is_being_deleted() -> None:
    it = Controlled(SETTINGS, ONE, namespaces=())
    team = namespace("team-a")
    team["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    it.cluster.create(team)
    it.load()
    assert it.state("team-a") is None


def test_without_sharing_each_namespace_loads_its_own_volume() -> None:
    it = Controlled(ALONE, ONE, namespaces=("team-a", "team-b"))
    it.settle()
    assert [name[1] for name in it.cluster.names(JOB)] == [HOME, "team-a", "team-b"]
    it.cluster.finish((JOB, "team-a", JOB_NAME))
    it.settle()
    assert (it.state("team-a"), it.state("team-b")) == ("ready", "loading")
    assert it.decide().states == {("shared-volume", "loading"): 1}
    assert it.load().states == {("shared-volume", "ready"): 1}
    assert it.cluster.names(REFERENCE) == []


def test_a_mounted_folder_needs_a_volume_and_a_claim_and_no_job() -> None:
    it = Controlled(MOUNT, ONE)
    groups = it.decide().steps
    assert [kinds(group) for group in groups] == [
        [("Create", VOLUME, ""), ("Create", CLAIM, name)] for name in (HOME, "team-a", "team-b")
    ]
    it.step()
    assert it.step() == []
    assert it.state("team-a", strategy="s3-mount") == "ready"


def test_a_failed_job_is_told_and_one_that_kubernetes_deleted_is_repeated() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    it.cluster.finish((JOB, HOME, JOB_NAME), "Failed")
    outcome = it.settle()
    assert it.state() == "failed"
    assert it.annotation(PROBLEM) == "BackoffLimitExceeded: it failed"
    assert outcome.states == {("shared-volume", "failed"): 1}
    assert outcome.problems == (f"{ONE.artifact.uri}: BackoffLimitExceeded: it failed",)
    assert [(event.type, event.reason, event.message) for event in it.cluster.events] == [
        ("Warning", "Failed", "BackoffLimitExceeded: it failed")
    ]
    it.cluster.remove((JOB, HOME, JOB_NAME))
    it.settle()
    assert it.state() == "loading"
    assert it.annotation(PROBLEM) is None
    it.load()
    assert it.state() == "ready"


def test_settings_that_lack_something_hinder_only_what_needs_it() -> None:
    settings = loading({"strategy": "shared-volume"}, {"strategy": "s3-mount"}, shared_volume={"storage_class": ""})
    it = Controlled(settings, ONE)
    outcome = it.load()
    assert it.state("team-a", strategy="s3-mount") == "ready"
    assert "set strategies.shared-volume.storageClass" in outcome.problems[0]
    assert outcome.states["shared-volume", "waiting"] == 1


def test_the_reason_of_a_state_is_bounded() -> None:
    it = Controlled(SETTINGS, ONE)
    it.load()
    it.settle(catalog(version(SETTINGS, problem="x" * 5000)))
    assert len(it.annotation(PROBLEM) or "") == 500


def test_labels_of_others_stay() -> None:
    it = Controlled(SETTINGS, ONE)
    it.settle()
    it.cluster.objects[CLAIM, HOME, NAME]["metadata"]["labels"]["theirs"] = "1"
    it.load()
    metadata = it.cluster.objects[CLAIM, HOME, NAME]["metadata"]
    assert metadata["labels"]["theirs"] == "1"
    assert metadata["labels"][f"{PREFIX}/model"] == "my-model"
    assert metadata["annotations"][f"{PREFIX}/uri"] == ONE.artifact.uri
    labels = [step for group in it.decide().steps for step in group if isinstance(step, Label)]
    assert labels == []
