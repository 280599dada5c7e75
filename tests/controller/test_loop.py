"""Decisions are made again after changes, and steps that fail are repeated later."""

import logging
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest

from tests.controller.cluster.pauses import Pauses
from tests.support.clock import Clock
from webhook.controller.cluster.acting import Actor, StepFailed
from webhook.controller.loop import Loop, Taker, pause
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.steps import CLAIMS, Create, Delete, ObjectRef, Step
from webhook.kubernetes.client import ClusterError


class Notices(Event):
    """Notices that are there, one for each wait; without one, the time passes at once."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.seconds = list[float]()
        loop._noticed = self

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(0 if self.is_set() else timeout)
        return self.is_set()


class Looped:
    """A loop that is stopped in its n-th pause."""

    def __init__(self, *results: Any) -> None:
        """What each decision returns, or raises."""
        self.results, self.decisions, self.metrics = list(results), 0, ControllerMetrics()
        self.loop = Loop("loads", self._decide, self.metrics)
        self.notices = Notices(self.loop)

    def _decide(self) -> float | None:
        self.decisions += 1
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        if result == "notice":
            self.loop.notify()
            self.loop.notify()
            return None
        assert result is None or isinstance(result, float)
        return result

    def run(self, pauses: int) -> Pauses:
        stopped = Pauses(pauses)
        self.loop.run(stopped)
        return stopped

    @property
    def errors(self) -> float:
        return float(self.metrics.errors.labels("loads")._value.get())


def test_a_loop_decides_at_once_and_then_after_a_notice_or_from_time_to_time() -> None:
    looped = Looped(None, "notice", None)
    stopped = looped.run(4)
    assert looped.notices.seconds == [0, 300, 0, 300]
    assert looped.decisions == 4
    assert stopped.seconds == [0.5] * 4, "changes gather before the next decision"


def test_notices_during_a_decision_lead_to_one_more() -> None:
    looped = Looped("notice")
    looped.run(3)
    assert looped.notices.seconds == [0, 0, 300]


@pytest.mark.parametrize(("asked", "waited"), [(2.0, 2), (9999.0, 300), (None, 300)])
def test_a_decision_says_when_to_decide_again(asked: float | None, waited: float) -> None:
    looped = Looped(asked)
    looped.run(2)
    assert looped.notices.seconds[1] == waited


def test_a_decision_that_fails_is_repeated_after_a_pause_that_grows(caplog: pytest.LogCaptureFixture) -> None:
    looped = Looped(None, *[ClusterError("no")] * 4, None)
    stopped = looped.run(10)
    failed = [seconds for seconds in stopped.seconds if seconds != 0.5]
    assert all(2**number / 4 <= seconds <= 2**number / 2 for number, seconds in enumerate(failed, 1))
    assert looped.decisions == 6
    assert looped.notices.seconds == [0, 300, 0, 0, 0, 0], "it has waited already"
    assert looped.errors == 4
    assert "Traceback" not in caplog.text


def test_an_unexpected_error_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    looped = Looped(KeyError("x"), None)
    looped.run(3)
    assert looped.decisions == 2
    assert caplog.records[0].exc_info


def test_a_loop_that_is_stopped_decides_no_more() -> None:
    looped, stopped = Looped(), Pauses(1)
    stopped.set()
    looped.loop.run(stopped)
    assert looped.decisions == 0


def test_pauses_are_bounded_and_random() -> None:
    assert 150 <= pause(1000) <= 300
    assert len({pause(5) for _ in range(20)}) > 1


class Answers(Actor):
    """Takes steps by their names: what is answered is by name."""

    def __init__(self) -> None:
        self.taken = list[str]()
        self.answers: dict[str, Any] = {}

    def take(self, step: Step) -> Any:
        name = step.target[2]
        self.taken.append(name)
        answer = self.answers.get(name, "ok")
        if isinstance(answer, Exception):
            raise answer
        return answer


def steps(*names: str) -> Sequence[Step]:
    return [Create({"kind": "Job", "metadata": {"name": name, "namespace": "team-a"}}) for name in names]


class Taken:
    """A taker, its answers, and its clock."""

    def __init__(self) -> None:
        self.answers, self.clock, self.metrics = Answers(), Clock(), ControllerMetrics()
        self.taker = Taker(self.answers, self.metrics, self.clock)

    def take(self, *groups: Sequence[Step]) -> tuple[float | None, list[str]]:
        """When to decide again, and the steps that were tried."""
        self.answers.taken.clear()
        return self.taker.take(groups), sorted(self.answers.taken)

    def count(self, result: str) -> float:
        return float(self.metrics.steps.labels("create", result)._value.get())


@pytest.fixture
def taken() -> Iterator[Taken]:
    taken = Taken()
    yield taken
    taken.taker.close()


def test_all_groups_are_taken_each_in_its_order(taken: Taken) -> None:
    assert taken.take(steps("a", "b"), steps("c")) == (None, ["a", "b", "c"])
    assert taken.answers.taken.index("a") < taken.answers.taken.index("b")
    assert taken.count("ok") == 3
    assert taken.take() == (None, [])


@pytest.mark.parametrize("answer", [StepFailed("quota"), ClusterError("no answer"), "conflict"])
def test_a_group_ends_at_the_first_step_that_fails_and_others_go_on(taken: Taken, answer: Any) -> None:
    taken.answers.answers["a"] = answer
    seconds, tried = taken.take(steps("a", "b"), steps("c"))
    assert tried == ["a", "c"]
    assert seconds is not None
    assert 0.5 <= seconds <= 1


@pytest.mark.parametrize("answer", [StepFailed("quota"), "conflict"])
def test_what_fails_is_left_alone_for_longer_each_time(taken: Taken, answer: Any) -> None:
    taken.answers.answers["a"] = answer
    pauses = []
    for _ in range(12):
        seconds, tried = taken.take(steps("a"), steps("c"))
        assert tried == ["a", "c"]
        assert seconds is not None
        pauses.append(seconds)
        left, tried = taken.take(steps("a", "b"), steps("c"))
        assert left == pytest.approx(seconds)
        assert tried == ["c"]
        taken.clock.now += seconds
    assert all(2**number / 4 <= seconds <= 2**number / 2 for number, seconds in enumerate(pauses[:8], 1))
    assert 150 <= pauses[-1] <= 300
    assert taken.count("conflict" if answer == "conflict" else "error") == 12


def test_what_succeeds_starts_afresh(taken: Taken) -> None:
    for _ in range(5):
        taken.answers.answers["a"] = StepFailed("quota")
        taken.take(steps("a"))
        taken.clock.now += 1
        taken.answers.answers.clear()
        assert taken.take(steps("a")) == (None, ["a"])


def test_deletions_that_the_api_server_accepted_are_counted_by_kind(taken: Taken) -> None:
    refs = [ObjectRef(CLAIMS, "team-a", name, f"uid-{name}", "1") for name in ("a", "b", "c", "d")]
    taken.answers.answers = {"b": StepFailed("forbidden"), "c": "conflict"}
    taken.take(*[[Delete(ref, "unused")] for ref in refs], steps("e"))
    (metric,) = taken.metrics.deleted.collect()
    found = {each.labels["kind"]: each.value for each in metric.samples if each.name.endswith("_total")}
    assert found == {"PersistentVolumeClaim": 2}


def test_what_is_gone_is_forgotten(taken: Taken) -> None:
    taken.answers.answers["a"] = StepFailed("the namespace is gone")
    taken.take(steps("a"))
    taken.clock.now += 1000
    taken.take()
    assert taken.taker._failures == {}


def test_an_unexpected_error_is_raised(taken: Taken) -> None:
    taken.answers.answers["a"] = KeyError("x")
    with pytest.raises(KeyError):
        taken.take(steps("a"), steps("b"))


def test_a_taker_that_is_closed_takes_no_further_step_of_its_groups(taken: Taken) -> None:
    take, tried = taken.answers.take, list[str]()

    def closing(step: Step) -> Any:
        taken.taker.close()
        tried.append(step.target[2])
        return take(step)

    taken.answers.take = closing  # type: ignore[method-assign]
    taken.take(steps("a", "b", "c"))
    assert tried == ["a"]


def test_steps_are_logged_by_their_targets(taken: Taken, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    taken.answers.answers = {"b": "conflict", "c": StepFailed("quota")}
    taken.take(steps("a"), steps("b"), steps("c"))
    logged = {(record.getMessage(), record.fields["target"]) for record in caplog.records}  # type: ignore[attr-defined]
    assert logged == {
        ("step taken", "Job/team-a/a"),
        ("step conflicts", "Job/team-a/b"),
        ("step failed", "Job/team-a/c"),
    }
