"""Rollouts that somebody has paused, or whose workload was scaled to zero, and what others wait for."""

import json
from typing import Any

import pytest

from tests.controller.following import PREFIX, ROLLED_OUT, Cluster, Key


def scale(cluster: Cluster, key: Key, replicas: int) -> None:
    cluster.change(key, lambda new: new["spec"].update(replicas=replicas))
    cluster.becomes_available(key)


def set_paused(cluster: Cluster, key: Key, is_paused: bool = True) -> None:
    cluster.change(key, lambda new: new["spec"].update(paused=is_paused))


def rolling(**rollouts: Any) -> tuple[Cluster, Key, Key]:
    """A workload that is rolling out, and one that waits for it."""
    cluster = Cluster(deadline=600, **rollouts)
    first, second = cluster.add("a"), cluster.add("b")
    cluster.moves("2.0.0")
    assert cluster.settle() == {"progressing": 1, "waiting": 1}
    cluster.becomes_unavailable(first)
    return cluster, first, second


def test_the_reason_of_a_wait_names_the_workloads_that_are_rolling_out() -> None:
    cluster, _, _ = rolling()
    cluster.passes(60)
    (problem,) = cluster.decide().problems
    expected = "as many rollouts as maxConcurrent allows are under way: Deployment apps/a since 2026-01-05T12:00:00Z"
    assert problem == f"Deployment apps/b is waiting: {expected}"


def test_of_many_it_names_three() -> None:
    cluster = Cluster(maxConcurrent=5)
    for name in "abcdef":
        cluster.add(name)
    cluster.moves("2.0.0")
    cluster.settle()
    (problem,) = cluster.decide().problems
    names = ", ".join(f"Deployment apps/{name} since 2026-01-05T12:00:00Z" for name in "abc")
    assert problem.endswith(f"are under way: {names} and 2 more")


def test_a_paused_rollout_lets_others_start_and_has_no_deadline() -> None:
    cluster, first, second = rolling()
    set_paused(cluster, first)
    assert cluster.settle() == {"held": 1, "progressing": 1}
    assert cluster.decide().problems == ("Deployment apps/a is held during its rollout: it is paused",)
    cluster.becomes_available(second)
    cluster.passes(30 * 24 * 3600)
    assert cluster.settle() == {"held": 1, "current": 1}
    assert cluster.version(first) == "2.0.0"
    assert cluster.decide().next_seconds is None


def test_after_it_is_resumed_it_counts_again_and_has_the_rest_of_its_deadline() -> None:
    cluster, first, second = rolling()
    cluster.passes(400)
    set_paused(cluster, first)
    cluster.settle()
    cluster.becomes_available(second)
    cluster.settle()
    cluster.passes(24 * 3600)
    set_paused(cluster, first, False)
    cluster.becomes_unavailable(first)
    cluster.add("c")
    assert cluster.settle() == {"progressing": 1, "current": 1, "waiting": 1}
    assert "held" not in cluster.record(first)
    cluster.passes(199)
    assert cluster.decide().next_seconds == 1
    cluster.passes(1)
    cluster.round()
    assert cluster.record(first)["state"] == "undone"
    assert cluster.version(first) == "1.2.3"


def test_a_workload_that_is_paused_and_resumed_again_and_again_is_undone_in_the_end() -> None:
    cluster, first, _ = rolling()
    for _ in range(4):
        set_paused(cluster, first)
        cluster.settle()
        cluster.passes(3600)
        set_paused(cluster, first, False)
        cluster.becomes_unavailable(first)
        cluster.settle()
        cluster.passes(150)
    cluster.settle()
    assert cluster.record(first)["state"] == "undone"


def test_an_alias_that_moves_back_undoes_a_paused_rollout_too() -> None:
    cluster, first, _ = rolling()
    set_paused(cluster, first)
    cluster.settle()
    cluster.moves("1.2.3")
    cluster.settle()
    assert cluster.version(first) == "1.2.3"
    assert "held" not in cluster.record(first)


def test_a_false_time_of_a_hold_does_not_move_the_deadline_beyond_a_new_one() -> None:
    cluster, first, _ = rolling()
    cluster.passes(60)
    record = {**cluster.record(first), "held": "2000-01-01T00:00:00Z"}
    annotations = {f"{PREFIX}/rollout": json.dumps(record)}
    cluster.change(first, lambda new: new["metadata"]["annotations"].update(annotations))
    cluster.settle()
    assert cluster.record(first)["at"] == "2026-01-05T12:01:00Z"


@pytest.mark.parametrize("kind", ROLLED_OUT)
def test_scaled_to_zero_during_a_rollout_it_is_neither_done_nor_undone(kind: str) -> None:
    cluster = Cluster(deadline=600)
    key = cluster.add(kind=kind)
    cluster.moves("2.0.0")
    cluster.settle()
    scale(cluster, key, 0)
    assert cluster.settle() == {"held": 1}
    cluster.passes(24 * 3600)
    assert cluster.settle() == {"held": 1}
    scale(cluster, key, 2)
    cluster.becomes_unavailable(key, phase="Unknown")
    assert cluster.settle() == {"progressing": 1}
    assert cluster.reasons() == ["RolloutStarted"]
    cluster.passes(600)
    assert cluster.settle() == {"undone": 1}
    assert cluster.version(key) == "1.2.3"


def test_scaled_to_zero_it_lets_others_start() -> None:
    cluster, first, _ = rolling()
    scale(cluster, first, 0)
    assert cluster.settle() == {"held": 1, "progressing": 1}


def test_a_pause_step_of_argo_is_a_part_of_the_rollout_and_counts() -> None:
    cluster = Cluster()
    argo, other = cluster.add("a", kind="Rollout"), cluster.add("b")
    cluster.moves("2.0.0")
    cluster.settle()
    cluster.becomes_unavailable(argo, phase="Paused", message="CanaryPauseStep")
    cluster.passes(24 * 3600)
    assert cluster.settle() == {"progressing": 1, "waiting": 1}
    set_paused(cluster, argo)
    assert cluster.settle() == {"held": 1, "progressing": 1}
    assert cluster.version(other) == "2.0.0"
