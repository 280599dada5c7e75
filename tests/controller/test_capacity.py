"""The capacity of loads, and which versions get it."""

from decimal import Decimal
from typing import Any

from tests.controller.catalogs import GIB, catalog, loading, version
from tests.controller.controlled import (
    CLAIMED,
    HOME,
    ONE,
    Controlled,
)
from tests.controller.memory import CLAIM, namespace
from webhook.controller.capacity import Capacity
from webhook.controller.published import Published
from webhook.model.objects import claim_name
from webhook.settings import Settings


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
