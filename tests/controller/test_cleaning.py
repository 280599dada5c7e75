"""What is removed, what is kept and why, and that loads and clean-up come to an end together."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.controller.catalogs import FIRST, catalog, loading, version
from tests.controller.memory import CLAIM, JOB, PREFIX, REFERENCE, VOLUME, MemoryCluster, namespace
from webhook.controller import loads
from webhook.controller.cleaning import Review, decide, in_use, plan, review, taken_back
from webhook.controller.published import Model, Published, with_expiry
from webhook.controller.steps import Delete
from webhook.settings import Settings
from webhook.usage.observed import Claim, Problem, Workload
from webhook.usage.uses import FloatingUse, Usage, Use, UsedVersion

DAY = timedelta(days=1)
NOW = FIRST + 100 * DAY
CLEANING = {"enabled": True, "retention": "30d", "keep": 1}
NAMES = ("1.0.0", "2.0.0", "80.0.0", "90.0.0")
"""Published so many days after the first day."""
TEAMS = ("team-a", "team-b")
WEB = Workload("team-a", "Deployment", "web")


def cleaning(**groups: Any) -> Settings:
    controller = {"namespace": "model-injector", "cleaning": CLEANING}
    return loading(controller=controller, **groups)


def published(options: Settings, *names: str, **aliases: str) -> Published:
    """A catalog of these versions, with what may be removed of them."""
    known = catalog(*(version(options, name) for name in names), **aliases)
    models = {
        name: with_expiry(model, options.controller.cleaning, NOW) for name, model in known.sources["default"].items()
    }
    return Published({"default": models}, known.uris)


def loaded(options: Settings, known: Published) -> MemoryCluster:
    """A cluster in which all versions were loaded and shared before they became old."""
    cluster = MemoryCluster()
    for name in (*TEAMS, "model-injector"):
        cluster.create(namespace(name))
    models = {name: Model(each.versions) for name, each in known.sources["default"].items()}
    young = catalog(*(version(options, name) for name in models["my-model"].versions))
    settle(cluster, young, options)
    return cluster


def settle(cluster: MemoryCluster, known: Published, options: Settings, usage: Usage | None = None) -> None:
    """Let loads, Jobs and, with `usage`, clean-up each hour work until nothing is left to do."""
    for hour in range(30):
        now = NOW + timedelta(hours=hour)
        steps = [step for group in loads.decide(known, cluster.observed(), options).steps for step in group]
        if usage is not None:
            steps += [s for group in plan(known, cluster.observed(), usage, options, now).steps for s in group]
        before = cluster.observed()
        for step in steps:
            cluster.take(step)
        for name in cluster.names(JOB):
            cluster.finish(name)
        for name in [name for name, each in cluster.objects.items() if "deletionTimestamp" in each["metadata"]]:
            cluster.remove(name)
        if cluster.observed() == before:
            return
    raise AssertionError("loads and clean-up do not come to an end")


def versions_of(cluster: MemoryCluster) -> set[str]:
    return {cluster.objects[name]["metadata"]["labels"][f"{PREFIX}/version"] for name in cluster.names(CLAIM)}


def use(options: Settings, name: str, state: str = "running") -> Use:
    artifact = version(options, name).artifact
    used = UsedVersion("my-model", name, artifact.uri, ("default",), name, "shared-volume")
    return Use(used, WEB, state, "web-1" if state == "running" else "")  # type: ignore[arg-type]


def reviewed(options: Settings, known: Published, usage: Usage) -> dict[str, Review]:
    cluster = loaded(options, known).observed()
    found = review(known, cluster, in_use(usage, known), options, NOW)
    return {each.version: each for each in found}


@pytest.mark.parametrize(
    ("usage", "aliases", "reason"),
    [
        (Usage(), {}, "unused, published 99 days ago, newer versions: 3"),
        (Usage((use(cleaning(), "1.0.0"),)), {}, "Deployment team-a/web: running"),
        (Usage((use(cleaning(), "1.0.0", "history"),)), {}, "Deployment team-a/web: history"),
        (Usage(floating=(FloatingUse("default", "my-model", "^1.0", WEB),)), {}, "Deployment team-a/web asks for ^1.0"),
        (Usage(), {"champion": "1.0.0"}, "it has the alias champion"),
    ],
)
def test_an_old_version_is_removed_unless_somebody_needs_it(usage: Usage, aliases: dict[str, str], reason: str) -> None:
    options = cleaning()
    found = reviewed(options, published(options, *NAMES, **aliases), usage)
    assert found["1.0.0"].reason == reason
    assert found["1.0.0"].is_removed == reason.startswith("unused")
    assert len(found["1.0.0"].claims) == 3
    assert (found["80.0.0"].is_removed, found["80.0.0"].reason) == (False, "published 20 days ago; the retention is 30")
    assert found["90.0.0"].is_removed is False


def test_the_newest_versions_are_kept_however_old_they_are() -> None:
    options = cleaning()
    found = reviewed(options, published(options, "1.0.0", "2.0.0"), Usage())
    assert (found["2.0.0"].is_removed, found["2.0.0"].reason) == (False, "one of the newest 1")
    assert found["1.0.0"].is_removed


@pytest.mark.parametrize("sharing", ["trident", "none"])
def test_claims_expire_first_and_are_deleted_later(sharing: str) -> None:
    options = cleaning(shared_volume={"sharing": sharing})
    known = published(options, *NAMES)
    cluster = loaded(options, known)
    first = plan(known, cluster.observed(), Usage(), options, NOW)
    assert not [step for group in first.steps for step in group if isinstance(step, Delete)]
    settle(cluster, known, options, Usage())
    assert versions_of(cluster) == {"80.0.0", "90.0.0"}
    assert not [name for name in (*cluster.names(JOB), *cluster.names(REFERENCE)) if "-1-0-0" in name[2]]
    order = [name for name in cluster.deleted if name[0] == CLAIM and "1.0.0" in name[2]]
    if sharing == "trident":
        assert [name[1] for name in order] == ["team-a", "team-b", "model-injector"]


def test_a_version_that_is_used_again_becomes_ready_again() -> None:
    options = cleaning()
    known = published(options, *NAMES)
    cluster = loaded(options, known)
    for group in plan(known, cluster.observed(), Usage(), options, NOW).steps:
        for step in group:
            cluster.take(step)
    settle(cluster, known, options, Usage((use(options, "1.0.0"), use(options, "2.0.0"))))
    assert versions_of(cluster) == set(NAMES)
    states = {cluster.objects[name]["metadata"]["labels"][f"{PREFIX}/state"] for name in cluster.names(CLAIM)}
    assert states == {"ready"}


@given(st.data())
def test_nothing_is_deleted_that_is_used_or_mounted(data: st.DataObject) -> None:
    options = cleaning(shared_volume={"sharing": data.draw(st.sampled_from(["trident", "none"]))})
    aliases = data.draw(st.dictionaries(st.sampled_from(["champion", "next"]), st.sampled_from(NAMES)))
    known = published(options, *NAMES, **aliases)
    cluster = loaded(options, known)
    for hour in range(4):
        claims = [name[1:] for name in cluster.names(CLAIM)]
        mounted = frozenset(Claim(*each) for each in data.draw(st.sets(st.sampled_from(claims))))
        names = data.draw(st.sets(st.sampled_from(NAMES)))
        usage = Usage(tuple(use(options, name) for name in names), mounted)
        observed = cluster.observed()
        used = in_use(usage, known)
        now = NOW + timedelta(hours=hour)
        reviews = review(known, observed, used, options, now)
        cluster.deleted.clear()
        for group in decide(reviews, known, observed, used, options, now):
            for step in group:
                cluster.take(step)
        for kind, *key in cluster.deleted:
            about = cluster.objects[kind, key[0], key[1]]["metadata"]["labels"][f"{PREFIX}/version"]
            assert about not in names
            assert about not in aliases.values()
            assert about not in {"80.0.0", "90.0.0"}
            assert not {each for each in mounted if observed.claims[each].labels[f"{PREFIX}/version"] == about}
        for name in [name for name, each in cluster.objects.items() if "deletionTimestamp" in each["metadata"]]:
            cluster.remove(name)


def expired(cluster: MemoryCluster, **annotations: str | None) -> None:
    """Claims that somebody, or an earlier version of the controller, gave the state."""
    for name in cluster.names(CLAIM):
        metadata = cluster.objects[name]["metadata"]
        metadata["labels"][f"{PREFIX}/state"] = "expired"
        for key, value in annotations.items():
            metadata["annotations"].pop(f"{PREFIX}/{key.replace('_', '-')}", None)
            if value is not None:
                metadata["annotations"][f"{PREFIX}/{key.replace('_', '-')}"] = value


def run(
    cluster: MemoryCluster, known: Published, options: Settings, now: datetime, usage: Usage | None = None
) -> list[Review]:
    """One run of clean-up."""
    found = plan(known, cluster.observed(), usage or Usage(), options, now)
    cluster.deleted.clear()
    for group in found.steps:
        for step in group:
            assert cluster.take(step)
    return found.reviews


def annotations(cluster: MemoryCluster, name: str) -> set[str | None]:
    found = (cluster.objects[each]["metadata"]["annotations"] for each in cluster.names(CLAIM))
    return {each.get(f"{PREFIX}/{name}") for each in found}


def states(cluster: MemoryCluster) -> set[str]:
    return {cluster.objects[name]["metadata"]["labels"][f"{PREFIX}/state"] for name in cluster.names(CLAIM)}


@pytest.mark.parametrize(("refresh", "minutes"), [(15, 5), (300, 10)])
def test_a_claim_is_removed_only_when_each_webhook_has_read_that_it_is_expired(refresh: int, minutes: int) -> None:
    options = cleaning(inventory={"refresh_seconds": refresh})
    known = published(options, "1.0.0", "90.0.0")
    cluster = loaded(options, known)
    run(cluster, known, options, NOW)
    (review, _) = run(cluster, known, options, NOW + timedelta(minutes=minutes, seconds=-1))
    assert (review.expired_at, review.removed_from) == (NOW, NOW + timedelta(minutes=minutes))
    assert cluster.deleted == []
    run(cluster, known, options, NOW + timedelta(minutes=minutes))
    assert len(cluster.deleted) == len(TEAMS)


@pytest.mark.parametrize("problem", [None, "unused, published 99 days ago, newer versions: 1"])
@pytest.mark.parametrize("at", [None, "yesterday", "2026-01-01T00:00:00"])
def test_an_expired_claim_is_removed_only_if_it_says_since_when(at: str | None, problem: str | None) -> None:
    options = cleaning()
    known = published(options, "1.0.0", "90.0.0")
    cluster = loaded(options, published(options, "1.0.0"))
    expired(cluster, expired_at=at, problem=problem)
    (review, _) = run(cluster, known, options, NOW)
    assert (review.is_removed, review.expired_at, review.removed_from) == (True, None, None)
    assert annotations(cluster, "expired-at") == {"2026-04-11T00:00:00Z"}
    run(cluster, known, options, NOW + timedelta(hours=1))
    assert cluster.deleted


def test_the_time_of_an_earlier_mark_does_not_count() -> None:
    options = cleaning()
    known = published(options, "1.0.0", "90.0.0")
    cluster = loaded(options, published(options, "1.0.0"))
    for name in cluster.names(CLAIM):  # a claim that was expired once, and that somebody made ready by hand
        cluster.objects[name]["metadata"]["annotations"][f"{PREFIX}/expired-at"] = "2026-01-01T00:00:00Z"
    run(cluster, known, options, NOW)
    assert (states(cluster), annotations(cluster, "expired-at")) == ({"expired"}, {"2026-04-11T00:00:00Z"})


def test_the_mark_is_taken_away_with_the_state() -> None:
    options = cleaning()
    cluster = loaded(options, published(options, "1.0.0"))
    run(cluster, published(options, "1.0.0", "90.0.0"), options, NOW)
    assert annotations(cluster, "expired-at") != {None}
    run(cluster, published(options, "1.0.0", "90.0.0", champion="1.0.0"), options, NOW)
    assert (states(cluster), annotations(cluster, "expired-at")) == ({"ready"}, {None})


def test_a_version_that_gets_an_alias_is_taken_back_without_a_reading_of_its_uses() -> None:
    options = cleaning()
    cluster = loaded(options, published(options, "1.0.0", "2.0.0"))
    old = published(options, *NAMES)
    run(cluster, old, options, NOW)
    assert taken_back(old, cluster.observed(), options) == ()
    for group in taken_back(published(options, *NAMES, champion="1.0.0"), cluster.observed(), options):
        for step in group:
            assert cluster.take(step)
    found = {each.version: each for each in run(cluster, old, options, NOW)}
    assert (found["1.0.0"].expired_at, found["2.0.0"].expired_at) == (None, NOW)


@pytest.mark.parametrize("is_cleaned", [True, False], ids=["may be removed", "clean-up is off"])
def test_loads_leave_expired_claims_to_clean_up(is_cleaned: bool) -> None:
    options = cleaning()
    known = published(options, "1.0.0", "90.0.0") if is_cleaned else catalog(version(options, "1.0.0"))
    cluster = loaded(options, published(options, "1.0.0"))
    expired(cluster, expired_at="2026-04-11T00:00:00Z")
    cluster.create(namespace("team-c"))
    decided = loads.decide(known, cluster.observed(), options).steps
    assert not [step for group in decided for step in group if "1.0.0" in step.target[2]]


LEFT = {"Job": "job-1", "TridentVolumeReference": "reference-1", "PersistentVolume": "volume-1"}


def left_over(cluster: MemoryCluster, options: Settings, created: str) -> None:
    """What is left of a version whose claims somebody deleted."""
    uri = version(options, "1.0.0").artifact.uri
    for kind, name in LEFT.items():
        place = "" if kind == VOLUME else "team-a"
        metadata = {
            "name": name,
            "namespace": place,
            "labels": {f"{PREFIX}/model": "my-model", f"{PREFIX}/version": "1.0.0"},
            "annotations": {f"{PREFIX}/uri": uri},
        }
        pod: dict[str, Any] = {"spec": {"template": {"spec": {"volumes": [{}]}}}} if kind == JOB else {}
        cluster.create({"kind": kind, "metadata": metadata, **pod})
        cluster.objects[kind, place, name]["metadata"]["creationTimestamp"] = created
        created = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("names", "created", "is_removed", "reason"),
    [
        (("90.0.0",), "2026-01-01T00:00:00Z", True, "the catalog has it no longer"),
        (
            ("90.0.0",),
            "2026-04-10T00:00:00Z",
            False,
            "the catalog has it no longer, and its objects are younger than the retention",
        ),
        (("1.0.0", "90.0.0"), "2026-04-10T00:00:00Z", True, "unused, published 99 days ago, newer versions: 1"),
        (("1.0.0",), "2026-01-01T00:00:00Z", False, "one of the newest 1"),
    ],
)
def test_what_is_left_of_a_version_without_claims_goes_with_it(
    names: tuple[str, ...], created: str, is_removed: bool, reason: str
) -> None:
    options = cleaning()
    known = published(options, *names)
    cluster = MemoryCluster()
    cluster.create(namespace("team-a"))
    left_over(cluster, options, created)
    found = {each.version: each for each in run(cluster, known, options, NOW)}["1.0.0"]
    assert (found.model, found.is_removed, found.reason) == ("my-model", is_removed, reason)
    assert (len(found.claims), {kind for kind, *_ in found.others}) == (0, set(LEFT))
    assert {kind for kind, *_ in cluster.deleted} == (set(LEFT) if is_removed else set())


def test_a_volume_stays_until_its_claim_is_gone() -> None:
    options = loading({"strategy": "s3-mount"}, controller={"namespace": "model-injector", "cleaning": CLEANING})
    known = published(options, "1.0.0", "90.0.0")
    cluster = loaded(options, published(options, "1.0.0"))
    run(cluster, known, options, NOW)
    later = NOW + timedelta(hours=1)
    run(cluster, known, options, later)
    assert {kind for kind, *_ in cluster.deleted} == {CLAIM}
    run(cluster, known, options, later)
    assert cluster.deleted == []
    cluster.collect()
    run(cluster, known, options, later)
    assert {kind for kind, *_ in cluster.deleted} == {VOLUME}


@pytest.mark.parametrize(
    ("at", "is_removed"), [("team-a", False), ("elsewhere", True), ("", False)], ids=["here", "elsewhere", "unknown"]
)
def test_a_version_is_kept_where_uses_may_be_missing(at: str, is_removed: bool) -> None:
    options = cleaning()
    known = published(options, "1.0.0", "90.0.0")
    cluster = loaded(options, published(options, "1.0.0"))
    usage = Usage(problems=(Problem(at, "Pod team-a/odd: the annotation cannot be read"),))
    (found, newest) = run(cluster, known, options, NOW, usage)
    assert found.is_removed == is_removed
    if not is_removed:
        assert found.reason == "uses may be missing: Pod team-a/odd: the annotation cannot be read"
    assert newest.reason.startswith("published 10 days ago")


OTHER = {"research": {"bucket": "research", "region": "us-east-1"}}


@pytest.mark.parametrize("listed", [Published(), Published({"research": {}})])
def test_nothing_is_removed_of_a_source_that_was_not_listed(listed: Published) -> None:
    controller = {"namespace": "model-injector", "cleaning": CLEANING}
    options = loading(controller=controller, sources=OTHER)
    cluster = loaded(options, published(options, *NAMES))
    found = plan(listed, cluster.observed(), Usage(), options, NOW)
    assert {each.reason for each in found.reviews} == {"its source was not listed"}
    assert found.steps == ()


def test_nothing_is_removed_while_the_source_cannot_be_listed() -> None:
    """A version may have got an alias since it was listed."""
    options = cleaning()
    known = published(options, *NAMES)
    cluster = loaded(options, known)
    settle(cluster, msgspec.structs.replace(known, stale=frozenset({"default"})), options, Usage())
    assert versions_of(cluster) == set(NAMES)
    settle(cluster, known, options, Usage())
    assert versions_of(cluster) < set(NAMES)


@pytest.mark.parametrize(("content", "state"), [("a" * 64, "ready"), (None, "loading")])
def test_an_expired_claim_without_verified_files_does_not_become_ready(content: str | None, state: str) -> None:
    options = cleaning()
    known = published(options, *NAMES)
    cluster = loaded(options, known)
    for name in cluster.names(CLAIM):
        metadata = cluster.objects[name]["metadata"]
        metadata["labels"][f"{PREFIX}/state"] = "expired"
        metadata["annotations"].pop(f"{PREFIX}/digest")
        if content:
            metadata["annotations"][f"{PREFIX}/digest"] = content
    nobody_loads_it = Published({"default": {}}, known.uris)
    for group in plan(nobody_loads_it, cluster.observed(), Usage(), options, NOW).steps:
        for step in group:
            cluster.take(step)
    assert {cluster.objects[name]["metadata"]["labels"][f"{PREFIX}/state"] for name in cluster.names(CLAIM)} == {state}
