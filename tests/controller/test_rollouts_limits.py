"""When rollouts may start."""

import json

import pytest

from tests.controller.following import PREFIX, ROLLED_OUT, Cluster, pin


def test_so_many_at_once_in_the_order_of_their_names() -> None:
    cluster = Cluster(maxConcurrent=2)
    keys = [cluster.add(f"app-{number}") for number in (3, 1, 2)]
    cluster.moves("2.0.0")
    assert cluster.settle() == {"progressing": 2, "waiting": 1}
    assert [cluster.version(key) for key in keys] == ["1.2.3", "2.0.0", "2.0.0"]
    cluster.becomes_available(keys[1])
    cluster.round()
    cluster.passes(1)
    assert cluster.settle() == {"current": 1, "progressing": 2}


def test_a_pause_between_the_end_of_one_and_the_start_of_the_next() -> None:
    cluster = Cluster(pause=60)
    first, second = cluster.add("a"), cluster.add("b")
    cluster.moves("2.0.0")
    cluster.settle()
    cluster.becomes_available(first)
    assert cluster.round().next_seconds == 60
    cluster.passes(20)
    assert cluster.settle() == {"current": 1, "waiting": 1}
    assert cluster.decide().next_seconds == 40
    cluster.passes(40)
    assert cluster.settle() == {"current": 1, "progressing": 1}
    assert cluster.version(second) == "2.0.0"


def test_only_in_maintenance_windows_and_the_next_opening_is_awaited() -> None:
    cluster = Cluster(maintenance=[{"start": "22:00", "duration": "8h"}])
    key = cluster.add()
    cluster.moves("2.0.0")
    cluster.round()
    assert cluster.decide().next_seconds == 10 * 3600
    assert cluster.settle() == {"waiting": 1}
    cluster.passes(10 * 3600)
    assert cluster.settle() == {"progressing": 1}
    cluster.passes(9 * 3600)  # an undo does not wait for a window
    assert cluster.settle() == {"undone": 1}
    assert cluster.version(key) == "1.2.3"


@pytest.mark.parametrize("kind", ROLLED_OUT)
def test_never_while_it_is_unhealthy_or_its_status_is_old(kind: str) -> None:
    cluster = Cluster()
    key = cluster.add(kind=kind)
    cluster.becomes_unavailable(key)
    cluster.moves("2.0.0")
    assert cluster.settle() == {"waiting": 1}
    cluster.becomes_available(key)
    cluster.change(key, lambda new: new["spec"].update(minReadySeconds=5))
    assert cluster.settle() == {"waiting": 1}
    cluster.becomes_available(key)
    assert cluster.settle() == {"progressing": 1}


def test_never_while_it_is_paused() -> None:
    cluster = Cluster()
    cluster.add(spec={"paused": True})
    cluster.moves("2.0.0")
    assert cluster.settle() == {"held": 1}


def test_not_before_the_version_is_loaded() -> None:
    cluster = Cluster()
    cluster.add(strategy="shared-volume")
    cluster.unloaded = {("apps", "shared-volume", "2.0.0")}
    cluster.moves("2.0.0")
    assert cluster.settle() == {"waiting": 1}
    cluster.unloaded.clear()
    assert cluster.settle() == {"progressing": 1}


@pytest.mark.parametrize(("strategy", "expected"), [("shared-volume", "waiting"), ("s3-init", "progressing")])
def test_it_gets_no_worse_strategy_than_it_has(strategy: str, expected: str) -> None:
    cluster = Cluster()
    pinned = json.loads(pin("1.2.3"))
    pinned["models"][0] |= {"strategies": ["shared-volume", "s3-init"], "strategy": strategy}
    cluster.add(pinned=json.dumps(pinned), strategy="shared-volume, s3-init")
    cluster.unloaded = {("apps", "shared-volume", "2.0.0")}
    cluster.moves("2.0.0")
    assert cluster.settle() == {expected: 1}


@pytest.mark.parametrize("kind", ROLLED_OUT)
def test_it_does_not_start_without_pods_that_would_show_whether_the_version_works(kind: str) -> None:
    cluster = Cluster()
    key = cluster.add(kind=kind)
    cluster.change(key, lambda new: new["spec"].update(replicas=0))
    cluster.becomes_available(key)
    cluster.moves("2.0.0")
    assert cluster.settle() == {"held": 1}
    assert cluster.version(key) == "1.2.3"
    cluster.change(key, lambda new: new["spec"].update(replicas=1))
    cluster.becomes_available(key)
    assert cluster.settle() == {"progressing": 1}


def test_a_time_that_is_yet_to_come_holds_nothing_up() -> None:
    cluster = Cluster(pause=60)
    key = cluster.add("a")
    forged = {"state": "done", "at": "2099-01-01T00:00:00Z"}
    cluster.change(key, lambda new: new["metadata"].update(annotations={f"{PREFIX}/rollout": json.dumps(forged)}))
    cluster.moves("2.0.0")
    assert cluster.settle() == {"progressing": 1}


class TestCanaries:
    def test_they_are_first_and_the_others_follow_after_a_pause(self) -> None:
        cluster = Cluster(pause=60, maxConcurrent=10)
        canary, other = cluster.add("z-canary", follow="canary"), cluster.add("app")
        elsewhere = cluster.add("app", namespace="elsewhere")
        cluster.moves("2.0.0")
        assert cluster.settle() == {"progressing": 2, "waiting": 1}
        assert [cluster.version(key) for key in (canary, other, elsewhere)] == ["2.0.0", "1.2.3", "2.0.0"]
        cluster.becomes_available(canary)
        cluster.settle()
        cluster.passes(59)
        assert cluster.settle() == {"progressing": 1, "current": 1, "waiting": 1}
        cluster.passes(1)
        assert cluster.settle() == {"progressing": 2, "current": 1}

    def test_a_canary_that_was_undone_blocks_the_others(self) -> None:
        cluster = Cluster(deadline=600)
        canary, other = cluster.add("canary", follow="canary"), cluster.add("app")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.passes(600)
        cluster.settle()
        cluster.becomes_available(canary)
        cluster.passes(600)
        assert cluster.settle() == {"undone": 1, "blocked": 1}
        assert cluster.decide().problems == (
            "Deployment apps/app is blocked: the new version was undone in the canary Deployment apps/canary",
        )
        assert cluster.version(other) == "1.2.3"
        cluster.moves("2.0.1")
        assert cluster.settle() == {"progressing": 1, "waiting": 1}

    def test_a_canary_that_fails_later_holds_the_others(self) -> None:
        cluster = Cluster()
        canary, _ = cluster.add("canary", follow="canary"), cluster.add("app")
        cluster.moves("2.0.0")
        cluster.settle()
        cluster.becomes_available(canary)
        cluster.round()
        cluster.becomes_unavailable(canary)
        cluster.passes(60)
        assert cluster.settle() == {"current": 1, "waiting": 1}

    def test_one_of_another_reference_does_not_matter(self) -> None:
        cluster = Cluster(maxConcurrent=2)
        cluster.add("canary", follow="canary", version="^1", pinned=pin("1.2.3", "^1"))
        cluster.add("app")
        cluster.meanings["my-model", "^1"] = "1.2.3"
        cluster.moves("2.0.0")
        assert cluster.settle() == {"current": 1, "progressing": 1}

    def test_shares_and_replicas_are_not_touched(self) -> None:
        cluster = Cluster()
        strategy = {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}
        key = cluster.add(kind="Rollout", follow="canary", spec={"strategy": strategy})
        cluster.moves("2.0.0")
        cluster.settle()
        spec = cluster.objects[key]["spec"]
        assert (spec["replicas"], spec["strategy"]) == (2, strategy)
