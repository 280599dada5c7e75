"""Which objects published versions get, step by step."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.controller.catalogs import GIB, catalog, digest, loading, version
from tests.controller.memory import CLAIM, JOB, PARTIAL, PREFIX, REFERENCE, VOLUME, MemoryCluster, namespace
from webhook.controller.capacity import Capacity
from webhook.controller.loads import Outcome, decide
from webhook.controller.published import Published, Version
from webhook.controller.steps import Create, Delete, Label, Step
from webhook.model.objects import claim_name, job_name
from webhook.settings import Settings

SETTINGS = loading()
ALONE = loading(shared_volume={"sharing": "none"})
MOUNT = loading({"strategy": "s3-mount"})
PUSH = loading({"strategy": "oci-image", "image": "registry.example.com/models/{model}"})
ONE = version(SETTINGS)
NAME, JOB_NAME = claim_name("shared-volume", ONE.artifact), job_name("shared-volume", ONE.artifact)
HOME = "model-injector"
STATE, PROBLEM = f"{PREFIX}/state", f"{PREFIX}/problem"
CLAIMED = 13 * GIB
"""What a claim requests for a model of 10 GiB."""
SHARED = "trident.netapp.io/shareToNamespace"


class Controlled:
    """A cluster, and the controller's decisions about it."""

    def __init__(
        self, settings: Settings, *versions: Version, namespaces: Sequence[str] = ("team-a", "team-b")
    ) -> None:
        self.settings, self.cluster, self.published = settings, MemoryCluster(), catalog(*versions)
        for name in namespaces:
            self.cluster.create(namespace(name))
        self.cluster.create(namespace(HOME))

    def decide(self) -> Outcome:
        return decide(self.published, self.cluster.observed(), self.settings)

    def step(self) -> list[Step]:
        """Take the steps of one decision."""
        steps = [step for group in self.decide().steps for step in group]
        for step in steps:
            assert self.cluster.take(step), step
        return steps

    def settle(self, published: Published | None = None) -> Outcome:
        """Decide until no step is left."""
        self.published = published or self.published
        for _ in range(20):
            if not self.step():
                return self.decide()
        raise AssertionError(f"it does not end: {self.decide().steps}")

    def load(self) -> Outcome:
        """Settle, and let all Jobs complete, until nothing changes."""
        self.settle()
        for name in self.cluster.names(JOB):
            self.cluster.finish(name)
        return self.settle()

    def state(self, namespace: str = HOME, of: Version = ONE, strategy: str = "shared-volume") -> str | None:
        claim = self.cluster.objects.get((CLAIM, namespace, claim_name(strategy, of.artifact)))
        return str(claim["metadata"]["labels"][STATE]) if claim else None

    def annotation(self, name: str, namespace: str = HOME, kind: str = CLAIM) -> str | None:
        found = self.cluster.objects[kind, namespace, NAME if kind == CLAIM else JOB_NAME]
        value: str | None = found["metadata"]["annotations"].get(name)
        return value


def kinds(steps: Sequence[Step]) -> list[tuple[Any, ...]]:
    return [(type(step).__name__, *step.target[:2]) for step in steps]


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


def test_only_so_many_images_are_pushed_at_once() -> None:
    versions = [version(PUSH, f"{number}.0.0") for number in range(3)]
    it = Controlled(
        PUSH.model_copy(update={"controller": PUSH.controller.model_copy(update={"max_concurrent_jobs": 2})})
    )
    it.settle(catalog(*versions))
    assert len(it.cluster.names(JOB)) == 2
    assert it.decide().states == {("oci-image", "loading"): 2, ("oci-image", "waiting"): 1}


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


def test_an_image_is_pushed_and_done_when_the_catalog_has_it() -> None:
    it = Controlled(PUSH, version(PUSH))
    (job,) = it.step()
    assert isinstance(job, Create)
    container = job.object["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:4] == ["image", "push", "my-model@1.2.3", "registry.example.com/models/my-model"]
    assert it.step() == []
    assert it.decide().states == {("oci-image", "loading"): 1}
    it.cluster.finish(it.cluster.names(JOB)[0])
    assert it.decide().states == {("oci-image", "loading"): 1}
    image = f"registry.example.com/models/my-model@sha256:{digest('e')}"
    assert it.settle(catalog(version(PUSH, image=image))).states == {("oci-image", "ready"): 1}


def test_the_image_of_a_version_that_was_published_again_is_pushed_again() -> None:
    it = Controlled(PUSH, version(PUSH))
    it.settle()
    it.published = catalog(version(PUSH, letter="b"))
    (delete,) = it.step()
    assert isinstance(delete, Delete)
    assert it.step() == []
    it.cluster.collect()
    (create,) = it.step()
    assert isinstance(create, Create)
    assert create.object["metadata"]["annotations"][f"{PREFIX}/digest"] == digest("b")


def test_an_image_in_another_repository_is_pushed() -> None:
    other = version(PUSH, image=f"registry.example.com/models/my-model-2@sha256:{digest('e')}")
    assert kinds(Controlled(PUSH, other).step()) == [("Create", JOB, HOME)]


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


def capacity(size: str, **shared_volume: Any) -> Settings:
    return loading({"strategy": "shared-volume", "capacity": size}, shared_volume=shared_volume)


def test_the_newest_versions_get_the_capacity_and_the_others_wait() -> None:
    settings = capacity("30Gi")
    versions = [version(settings, name) for name in ("1.0.0", "2.0.0", "3.0.0")]
    it = Controlled(settings, *versions)
    outcome = it.load()
    assert [it.state(of=each) for each in versions] == [None, "ready", "ready"]
    assert outcome.states == {("shared-volume", "ready"): 2, ("shared-volume", "waiting"): 1}
    (problem,) = outcome.problems
    assert problem.startswith(f"{versions[0].artifact.uri} waits: it needs {CLAIMED} bytes, and loads[0] has")
    assert problem.endswith(f"has {30 * GIB - 2 * CLAIMED} of {30 * GIB} left")
    assert outcome.capacities == (Capacity("0 shared-volume", Decimal(2 * CLAIMED), Decimal(30 * GIB)),)


def test_what_waits_is_loaded_when_others_are_removed() -> None:
    settings = capacity("15Gi")
    old, new = version(settings, "1.0.0"), version(settings, "2.0.0")
    it = Controlled(settings, old)
    it.load()
    it.published = catalog(old, new)
    it.load()
    assert (it.state(of=old), it.state(of=new)) == ("ready", None)
    it.settle(catalog(new))
    assert (it.state(of=old), it.state(of=new)) == ("unpublished", None)
    it.cluster.remove((CLAIM, HOME, claim_name("shared-volume", old.artifact)))
    it.load()
    assert it.state(of=new) == "ready"


def test_a_version_that_never_fits_does_not_hinder_others() -> None:
    settings = capacity("15Gi")
    small, large = version(settings, "1.0.0"), version(settings, "2.0.0", size=100 * GIB)
    it = Controlled(settings, small, large)
    it.load()
    assert (it.state(of=small), it.state(of=large)) == ("ready", None)


def test_an_older_version_does_not_overtake_one_that_waits() -> None:
    settings = capacity("25Gi")
    first = version(settings, "3.0.0")
    it = Controlled(settings, first)
    it.load()
    small, large = version(settings, "1.0.0", size=GIB), version(settings, "2.0.0", size=15 * GIB)
    it.published = catalog(first, small, large)
    it.load()
    assert (it.state(of=small), it.state(of=large)) == (None, None)


def test_a_namespace_without_room_does_not_hinder_those_that_load() -> None:
    settings = capacity("27Gi", sharing="none")
    it = Controlled(settings, ONE, namespaces=("team-a",))
    it.settle()
    it.cluster.create(namespace("team-b"))
    outcome = it.load()
    assert [it.state(name) for name in (HOME, "team-a", "team-b")] == ["ready", "ready", None]
    assert outcome.states == {("shared-volume", "waiting"): 1}


def test_a_former_version_counts_towards_the_first_load_that_would_select_it() -> None:
    loads = ({"strategy": "shared-volume", "models": ["my-*"], "versions": ">=2"}, {"strategy": "shared-volume"})
    settings = loading(*loads)
    it = Controlled(settings, ONE)
    it.load()
    it.settle(Published({"default": {}}))
    assert [each.requested for each in it.decide().capacities] == [CLAIMED, 0]


def test_a_load_serves_the_namespaces_that_its_globs_match() -> None:
    settings = loading({"strategy": "shared-volume", "namespaces": ["team-*"]})
    it = Controlled(settings, ONE, namespaces=("team-a", "other", "kube-system"))
    it.load()
    assert [it.state(name) for name in ("team-a", "other", "kube-system")] == ["ready", None, None]
    assert it.annotation(SHARED) == "team-a"


def test_namespaces_of_kubernetes_are_served_only_by_their_names() -> None:
    it = Controlled(MOUNT, ONE, namespaces=("kube-system",))
    it.load()
    assert it.state("kube-system", strategy="s3-mount") is None
    it.settings = loading({"strategy": "s3-mount", "namespaces": ["*", "kube-system"]})
    it.load()
    assert it.state("kube-system", strategy="s3-mount") == "ready"


def test_the_first_load_of_a_strategy_decides_about_a_version() -> None:
    loads = (
        {"strategy": "shared-volume", "models": ["my-*"], "storageClass": "fast", "namespaces": ["team-a"]},
        {"strategy": "shared-volume", "models": ["*"]},
        {"strategy": "s3-mount"},
    )
    it = Controlled(loading(*loads), ONE)
    it.load()
    assert it.cluster.objects[CLAIM, HOME, NAME]["spec"]["storageClassName"] == "fast"
    assert it.annotation(SHARED) == "team-a"
    assert it.state("team-b", strategy="s3-mount") == "ready"


@pytest.mark.parametrize(
    ("versions", "loaded"),
    [
        ("*", ["1.0.0", "1.1.0", "2.0.0"]),
        ("^1", ["1.0.0", "1.1.0"]),
        ("latest", ["2.0.0"]),
        ("@champion", ["1.1.0"]),
        ("@unknown", []),
        ("1.0.0", ["1.0.0"]),
        ("9.9.9", []),
    ],
)
def test_a_load_selects_versions(versions: str, loaded: list[str]) -> None:
    settings = loading({"strategy": "shared-volume", "versions": versions})
    known = [version(settings, name) for name in ("1.0.0", "1.1.0", "2.0.0")]
    it = Controlled(settings)
    it.published = catalog(*known, version(settings, "3.0.0", problem="unfinished"), champion="1.1.0")
    it.load()
    assert [each.artifact.version for each in known if it.state(of=each)] == loaded


def test_models_that_the_globs_do_not_match_are_not_loaded() -> None:
    settings = loading({"strategy": "shared-volume", "models": ["your-*"]})
    assert Controlled(settings, version(settings)).step() == []


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
