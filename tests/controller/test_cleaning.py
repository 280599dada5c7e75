"""What is removed, what is kept and why, and that loads and clean-up come to an end together."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.controller.catalogs import FIRST, catalog, loading, version
from tests.controller.memory import CLAIM, JOB, PREFIX, REFERENCE, MemoryCluster, namespace
from webhook.controller import loads
from webhook.controller.cleaning import Review, decide, in_use, plan, review
from webhook.controller.published import Model, Published, with_expiry
from webhook.controller.steps import Delete
from webhook.settings import Settings
from webhook.usage.observed import Claim, Workload
from webhook.usage.uses import FloatingUse, Usage, Use, UsedVersion

DAY = timedelta(days=1)
NOW = FIRST + 100 * DAY
CLEANING = {"enabled": True, "retention": "30d", "keep": 1}
NAMES = ("1.0.0", "2.0.0", "80.0.0", "90.0.0")
"""Published so many days after the first day."""
TEAMS = ("team-a", "team-b")
WEB = Workload("team-a", "Deployment", "web")


def cleaning(**shared_volume: str) -> Settings:
    controller = {"namespace": "model-injector", "cleaning": CLEANING}
    return loading(shared_volume=shared_volume, controller=controller)


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
    """Let loads, Jobs and, with `usage`, clean-up work until nothing is left to do."""
    for _ in range(30):
        steps = [step for group in loads.decide(known, cluster.observed(), options).steps for step in group]
        if usage is not None:
            steps += [s for group in plan(known, cluster.observed(), usage, options, NOW).steps for s in group]
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
    assert len(found["1.0.0"].objects) == 3
    assert (found["80.0.0"].is_removed, found["80.0.0"].reason) == (False, "published 20 days ago; the retention is 30")
    assert found["90.0.0"].is_removed is False


def test_the_newest_versions_are_kept_however_old_they_are() -> None:
    options = cleaning()
    found = reviewed(options, published(options, "1.0.0", "2.0.0"), Usage())
    assert (found["2.0.0"].is_removed, found["2.0.0"].reason) == (False, "one of the newest 1")
    assert found["1.0.0"].is_removed


@pytest.mark.parametrize("sharing", ["trident", "none"])
def test_claims_expire_first_and_are_deleted_at_the_next_look(sharing: str) -> None:
    options = cleaning(sharing=sharing)
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


@settings(deadline=None)
@given(st.data())
def test_nothing_is_deleted_that_is_used_or_mounted(data: st.DataObject) -> None:
    options = cleaning(sharing=data.draw(st.sampled_from(["trident", "none"])))
    aliases = data.draw(st.dictionaries(st.sampled_from(["champion", "next"]), st.sampled_from(NAMES)))
    known = published(options, *NAMES, **aliases)
    cluster = loaded(options, known)
    for _ in range(4):
        claims = [name[1:] for name in cluster.names(CLAIM)]
        mounted = frozenset(Claim(*each) for each in data.draw(st.sets(st.sampled_from(claims))))
        names = data.draw(st.sets(st.sampled_from(NAMES)))
        usage = Usage(tuple(use(options, name) for name in names), mounted)
        observed = cluster.observed()
        used = in_use(usage, known)
        reviews = review(known, observed, used, options, NOW)
        cluster.deleted.clear()
        for group in decide(reviews, known, observed, used, options):
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


OTHER = {"research": {"bucket": "research", "region": "us-east-1"}}


@pytest.mark.parametrize("listed", [Published(), Published({"research": {}})])
def test_nothing_is_removed_of_a_source_that_was_not_listed(listed: Published) -> None:
    controller = {"namespace": "model-injector", "cleaning": CLEANING}
    options = loading(controller=controller, sources=OTHER)
    cluster = loaded(options, published(options, *NAMES))
    found = plan(listed, cluster.observed(), Usage(), options, NOW)
    assert {each.reason for each in found.reviews} == {"its source was not listed"}
    assert found.steps == ()


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
