"""What holds for loads in any order of events, with controllers that are killed, or that see old news."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.controller.catalogs import catalog, digest, loading, version
from tests.controller.memory import (
    CLAIM,
    JOB,
    JSON,
    NAMESPACE,
    PREFIX,
    REFERENCE,
    MemoryCluster,
    Name,
    is_finished,
    namespace,
)
from webhook.controller.loads import decide
from webhook.controller.observed import Cluster
from webhook.controller.published import Published, Version
from webhook.controller.steps import Create, Label, Step
from webhook.kubernetes.quantities import parse_quantity
from webhook.model.objects import claim_name
from webhook.settings import Settings

HOME = "model-injector"
TEAMS = ("team-a", "team-b")
NAMES = ("1.0.0", "2.0.0")
SHARED = loading()
ALONE = loading(shared_volume={"sharing": "none"})
FIELDS = {CLAIM: "claims", JOB: "jobs", REFERENCE: "references", NAMESPACE: "namespaces"}
ROUNDS = 40


class Controller:
    """One process. It sees news late, and takes the steps of a decision one after the other."""

    def __init__(self) -> None:
        self.catalog, self.seen = Published(), MemoryCluster().observed()
        self.groups: list[list[Step]] = []

    def take(self, cluster: MemoryCluster, at: int) -> None:
        """Take the next step of one group. It sees its own writes at once."""
        group = self.groups[at % len(self.groups)]
        step = group.pop(0)
        if not fits(step, cluster) or not cluster.take(step):
            group.clear()
        elif isinstance(step, Create | Label):
            self._see(step.target, cluster)
        self.groups = [each for each in self.groups if each]

    def _see(self, name: Name, cluster: MemoryCluster) -> None:
        current = cluster.observed()
        field = FIELDS[name[0]]
        known = {**getattr(self.seen, field), name[1:]: getattr(current, field)[name[1:]]}
        self.seen = Cluster(**{each: getattr(self.seen, each) for each in Cluster.__struct_fields__} | {field: known})


def fits(step: Step, cluster: MemoryCluster) -> bool:
    """Whether the API server has the namespace that a step creates something in."""
    return not isinstance(step, Create) or (NAMESPACE, "", step.target[1]) in cluster.objects


def ready(cluster: MemoryCluster) -> list[tuple[Name, JSON]]:
    claims = ((name, cluster.objects[name]["metadata"]) for name in cluster.names(CLAIM))
    return [(name, metadata) for name, metadata in claims if metadata["labels"][f"{PREFIX}/state"] == "ready"]


class Simulation:
    """Two controllers, people, and Kubernetes."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self.settings, self.random = settings, random
        self.cluster = begun(*TEAMS)
        self.versions = {"1.0.0": version(settings, "1.0.0")}
        self.controllers = (Controller(), Controller())

    def run(self, events: int) -> None:
        """So many events, and then none until all is settled."""
        kinds = (
            *(self.publish, self.unpublish, self.withdraw, self.namespace_comes_or_goes),
            *(self.job_ends, self.job_ends, self.job_is_gone, self.pods_end, self.claim_is_deleted, self.a_day_passes),
            *(self.controller_works, self.controller_works, self.controller_is_killed),
            *(self.news_arrive, self.news_arrive, self.all_news_arrive),
            *(self.controller_decides, self.controller_decides),
            *(self.controller_takes_steps, self.controller_takes_steps, self.controller_takes_steps),
        )
        for _ in range(events):
            self.random.choice(kinds)()
            self.check()
        settle(self.cluster, self.published, self.settings)
        self.check()
        self.check_end()

    @property
    def published(self) -> Published:
        return catalog(*self.versions.values()) if self.versions else Published({"default": {}})

    def publish(self) -> None:
        name = self.random.choice(NAMES)
        self.versions[name] = version(self.settings, name, letter=self.random.choice("ab"))

    def unpublish(self) -> None:
        self.versions.pop(self.random.choice(NAMES), None)

    def withdraw(self) -> None:
        if (name := self.random.choice(NAMES)) in self.versions:
            self.versions[name] = version(self.settings, name, problem="it is withdrawn", is_withdrawn=True)

    def namespace_comes_or_goes(self) -> None:
        if (NAMESPACE, "", name := self.random.choice(TEAMS)) in self.cluster.objects:
            self.cluster.remove((NAMESPACE, "", name))
        else:
            self.cluster.create(namespace(name))

    def job_ends(self) -> None:
        for name in self._any(JOB):
            self.cluster.finish(name, self.random.choice(("Complete", "Complete", "Failed")))

    def job_is_gone(self) -> None:
        """A day after its end, or by hand. No step of a controller is on its way for so long."""
        for name in self._any(JOB):
            self.cluster.remove(name)
            self._restart()

    def a_day_passes(self) -> None:
        settle(self.cluster, self.published, self.settings)
        self._restart()

    def _restart(self) -> None:
        for controller in self.controllers:
            controller.groups, controller.seen = [], self.cluster.observed()

    def pods_end(self) -> None:
        """Those of Jobs that were deleted."""
        self.cluster.collect()

    def claim_is_deleted(self) -> None:
        for name in self._any(CLAIM):
            self.cluster.remove(name)

    def controller_is_killed(self) -> None:
        self._controller().groups.clear()

    def news_arrive(self) -> None:
        controller, field = self._controller(), self.random.choice(("catalog", *FIELDS.values()))
        if field == "catalog":
            controller.catalog = self.published
            return
        current, seen = self.cluster.observed(), controller.seen
        fields = {each: getattr(seen, each) for each in Cluster.__struct_fields__}
        controller.seen = Cluster(**fields | {field: getattr(current, field)})

    def all_news_arrive(self) -> None:
        controller = self._controller()
        controller.catalog, controller.seen = self.published, self.cluster.observed()

    def controller_decides(self) -> None:
        controller = self._controller()
        if not controller.groups:
            outcome = decide(controller.catalog, controller.seen, self.settings)
            controller.groups = [list(group) for group in outcome.steps]

    def controller_takes_steps(self) -> None:
        controller = self._controller()
        for _ in range(self.random.randint(1, 4)):
            if controller.groups:
                controller.take(self.cluster, self.random.randrange(10))

    def controller_works(self) -> None:
        """It is not interrupted for a while."""
        controller = self._controller()
        for _ in range(self.random.randint(1, 4)):
            controller.catalog, controller.seen = self.published, self.cluster.observed()
            controller.groups = [
                list(group) for group in decide(controller.catalog, controller.seen, self.settings).steps
            ]
            while controller.groups:
                controller.take(self.cluster, 0)

    def _controller(self) -> Controller:
        return self.random.choice(self.controllers)

    def _any(self, kind: str) -> list[Name]:
        names = self.cluster.names(kind)
        return [self.random.choice(names)] if names else []

    def check(self) -> None:
        """A claim that is ready has the files of the digest that it says it has, or waits for Trident. No claim is
        deleted."""
        for name, metadata in ready(self.cluster):
            assert self.cluster.content(name) in (metadata["annotations"][f"{PREFIX}/digest"], None), name
        assert not [name for name in self.cluster.deleted if name[0] != JOB]

    def check_end(self) -> None:
        """Claims of published versions are ready or outdated, and those of others are neither."""
        wanted = {each.artifact.uri: each for each in self.versions.values()}
        for name in self.cluster.names(CLAIM):
            metadata = self.cluster.objects[name]["metadata"]
            uri, has = (metadata["annotations"].get(f"{PREFIX}/{key}") for key in ("uri", "digest"))
            state, of = metadata["labels"][f"{PREFIX}/state"], wanted.get(uri)
            if of is None:
                expected = "unpublished"
            elif of.problem:
                expected = "withdrawn"
            else:
                expected = "ready" if has == of.artifact.digest else "outdated"
            assert state == expected, (name, state, expected)
        for each in wanted.values():
            assert each.problem or (CLAIM, HOME, claim_name("shared-volume", each.artifact)) in self.cluster.objects


def settle(cluster: MemoryCluster, published: Published, settings: Settings) -> int:
    """Decide and complete all Jobs until nothing changes. Returns the number of decisions."""
    for number in range(ROUNDS):
        before = dict(cluster.objects)
        for step in (step for group in decide(published, cluster.observed(), settings).steps for step in group):
            assert cluster.take(step), step
        cluster.collect()
        for name in cluster.names(JOB):
            if is_finished(cluster.objects[name]) and failed(cluster.objects[name]):
                cluster.remove(name)  # after a day
            else:
                cluster.finish(name)
        if cluster.objects == before:
            assert decide(published, cluster.observed(), settings).steps == ()
            return number
    raise AssertionError("it does not end")


def failed(job: JSON) -> bool:
    return bool(job["status"]["conditions"][0]["type"] == "Failed")


@pytest.mark.parametrize("of", [SHARED, ALONE], ids=["shared", "alone"])
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(10, 80))
@settings(max_examples=250)
def test_nothing_unverified_is_ready_and_all_ends_well(of: Settings, seed: int, events: int) -> None:
    Simulation(of, Random(seed)).run(events)  # noqa: S311 - reproducible


def begun(*teams: str) -> MemoryCluster:
    cluster = MemoryCluster()
    for name in (HOME, *teams):
        cluster.create(namespace(name))
    return cluster


def state_of(cluster: MemoryCluster) -> dict[Name, Any]:
    """All objects, without what the API server adds."""
    ignored = {"uid", "resourceVersion"}
    found = {}
    for name, each in cluster.objects.items():
        metadata = {key: value for key, value in each["metadata"].items() if key not in ignored}
        metadata["annotations"] = {
            key: value for key, value in metadata.get("annotations", {}).items() if key != f"{PREFIX}/claim-uid"
        }
        found[name] = {**each, "metadata": metadata}
    return found


@given(data=st.data(), names=st.lists(st.sampled_from(("1.0.0", "2.0.0", "3.0.0")), unique=True, min_size=1))
@settings(max_examples=60)
def test_the_end_does_not_depend_on_order_or_interruptions(data: st.DataObject, names: list[str]) -> None:
    versions = [version(SHARED, name) for name in names]
    undisturbed, cluster = begun(*TEAMS), begun()
    settle(undisturbed, catalog(*versions), SHARED)
    teams = list(TEAMS)
    known = list[Version]()
    created = list[Name]()
    for _ in range(data.draw(st.integers(0, 12))):
        match data.draw(st.sampled_from(["publish", "namespace", "work", "work", "work", "end", "fail"])):
            case "publish" if len(known) < len(versions):
                known.append(versions[len(known)])
            case "namespace" if teams:
                cluster.create(namespace(teams.pop(data.draw(st.integers(0, len(teams) - 1)))))
            case "work":
                groups = decide(catalog(*known), cluster.observed(), SHARED).steps if known else ()
                for group in data.draw(st.permutations(groups)):
                    for step in group[: data.draw(st.integers(0, len(group)))]:
                        assert cluster.take(step)
                        created += [step.target] if isinstance(step, Create) else []
            case "end" | "fail" as event if jobs := cluster.names(JOB):
                cluster.finish(data.draw(st.sampled_from(jobs)), "Complete" if event == "end" else "Failed")
            case _:
                pass
    for team in teams:
        cluster.create(namespace(team))
    settle(cluster, catalog(*versions), SHARED)
    assert state_of(cluster) == state_of(undisturbed)
    assert len(created) == len(set(created)), "nothing is created twice"
    assert cluster.deleted == []


@given(data=st.data(), limit=st.integers(10, 60), is_shared=st.booleans())
@settings(max_examples=60)
def test_creations_never_exceed_the_capacity(data: st.DataObject, limit: int, is_shared: bool) -> None:
    load = {"strategy": "shared-volume", "capacity": f"{limit}Gi"}
    sharing = {"sharing": "trident" if is_shared else "none"}
    controlled = loading(load, shared_volume=sharing)
    cluster, known = begun(*TEAMS), dict[str, Version]()
    for _ in range(data.draw(st.integers(1, 12))):
        name = f"{data.draw(st.integers(1, 5))}.0.0"
        match data.draw(st.sampled_from(["publish", "publish", "unpublish", "work", "remove", "namespace"])):
            case "publish":
                size = data.draw(st.integers(1, 30)) << 30
                known.setdefault(name, version(controlled, name, size=size))
            case "unpublish":
                known.pop(name, None)
            case "remove" if claims := cluster.names(CLAIM):
                cluster.remove(data.draw(st.sampled_from(claims)))
            case "namespace" if (NAMESPACE, "", "team-c") not in cluster.objects:
                cluster.create(namespace("team-c"))
            case _:
                published = catalog(*known.values()) if known else Published({"default": {}})
                for step in (
                    step for group in decide(published, cluster.observed(), controlled).steps for step in group
                ):
                    cluster.take(step)
                sizes = (cluster.objects[each]["spec"]["resources"]["requests"] for each in cluster.names(CLAIM))
                own = [
                    parse_quantity(size["storage"])
                    for each, size in zip(cluster.names(CLAIM), sizes, strict=True)
                    if not is_shared or each[1] == HOME
                ]
                assert sum(own) <= limit << 30


def test_a_step_towards_ready_conflicts_after_the_version_was_published_again() -> None:
    """One controller has old news of the Job and the catalog, the other one has begun to load other files."""
    cluster, late, early = begun(), Controller(), version(SHARED)
    for _ in range(2):
        work(cluster, catalog(early))
    (job,) = cluster.names(JOB)
    cluster.finish(job)
    late.catalog, late.seen = catalog(early), cluster.observed()
    decided = decide(late.catalog, late.seen, SHARED).steps
    again = catalog(version(SHARED, letter="b"))
    for _ in range(4):
        work(cluster, again)
        cluster.collect()
    assert cluster.content(cluster.names(CLAIM)[0]) != digest("a")
    assert not cluster.take(decided[0][0])
    current = cluster.observed()
    late.seen = Cluster(current.namespaces, current.claims, late.seen.jobs, current.volumes, current.references)
    for step in (step for group in decide(late.catalog, late.seen, SHARED).steps for step in group):
        cluster.take(step)
    assert ready(cluster) == []


def test_no_job_starts_late_on_a_volume_that_is_ready() -> None:
    cluster, published = begun(), catalog(version(SHARED))
    work(cluster, published)
    (group,) = decide(published, cluster.observed(), SHARED).steps
    settle(cluster, published, SHARED)
    cluster.remove(cluster.names(JOB)[0])
    assert [type(step) for step in group] == [Label, Create]
    assert not cluster.take(group[0])


def work(cluster: MemoryCluster, published: Published) -> None:
    for step in (step for group in decide(published, cluster.observed(), SHARED).steps for step in group):
        assert cluster.take(step)
