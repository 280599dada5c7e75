"""Decides again when something has changed, and takes the steps.

A loop is level-triggered: it gets no changes, but the state as of now, so that a lost notice or an error costs time
only. Notices during a decision lead to one more decision. Without notices, it decides again from time to time.
"""

import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic
from typing import Final

from webhook.controller.cluster.acting import Actor
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.steps import Delete, Step
from webhook.http.log import FIELDS
from webhook.kubernetes.client import ClusterError

_SETTLE_SECONDS: Final = 0.5
"""The pause after a decision, in which further changes gather."""
_RESYNC_SECONDS: Final = 300.0
_LONGEST_PAUSE_SECONDS: Final = 300.0
_THREADS: Final = 8
_log = logging.getLogger(__name__)


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row. Random, so that not all are repeated at once."""
    longest = min(0.5 * 2.0**failures, _LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter


class Loop:
    """Calls `decide` after each notice. It returns after how many seconds it is to be called in any case, or None."""

    def __init__(self, area: str, decide: Callable[[], float | None], metrics: ControllerMetrics) -> None:
        self._area, self._decide, self._metrics = area, decide, metrics
        self._noticed = Event()

    def notify(self) -> None:
        """Something has changed."""
        self._noticed.set()

    def run(self, stopped: Event) -> None:
        """Decide until stopped."""
        failures, wait = 0, 0.0
        while not stopped.is_set():
            self._noticed.wait(wait)
            self._noticed.clear()
            if stopped.is_set():
                return
            try:
                wait, failures = min(self._decide() or _RESYNC_SECONDS, _RESYNC_SECONDS), 0
            except Exception as error:  # noqa: BLE001 - an error in one area must not stop the others
                failures, wait = failures + 1, 0.0
                self._metrics.errors.labels(self._area).inc()
                known = isinstance(error, ClusterError)
                fields = {"area": self._area, **({"problem": str(error)} if known else {})}
                _log.warning("decision failed", extra={FIELDS: fields}, exc_info=None if known else error)
                stopped.wait(pause(failures))
            stopped.wait(_SETTLE_SECONDS)


class Taker:
    """Takes the steps of decisions, several at a time.

    A target whose step failed or conflicted is left alone for a while, each time for longer.
    """

    def __init__(self, actor: Actor, metrics: ControllerMetrics, clock: Callable[[], float] = monotonic) -> None:
        """`clock` is monotonic, in seconds."""
        self._actor, self._metrics, self._clock = actor, metrics, clock
        self._threads = ThreadPoolExecutor(_THREADS, "steps")
        self._failures: dict[tuple[str, str, str], tuple[int, float]] = {}
        """By target: the number of failures in a row, and until when it is left alone."""
        self._is_closed = False

    def take(self, groups: Sequence[Sequence[Step]]) -> float | None:
        """Take groups of steps, each in its order up to the first that fails. Returns after how many seconds to decide
        again because of failures; None if there were none."""
        forgotten = self._clock() - _LONGEST_PAUSE_SECONDS
        self._failures = {target: known for target, known in self._failures.items() if known[1] > forgotten}
        pauses = [each for each in self._threads.map(self._take, groups) if each is not None]
        return min(pauses, default=None)

    def _take(self, steps: Sequence[Step]) -> float | None:
        for step in steps:
            if self._is_closed:
                return None
            failures, until = self._failures.get(step.target, (0, 0.0))
            if (left := until - self._clock()) > 0:
                return left
            name = type(step).__name__.lower()
            try:
                result = self._actor.take(step)
            except ClusterError as error:
                self._metrics.steps.labels(name, "error").inc()
                _log.warning("step failed", extra={FIELDS: {**_fields(step), "problem": str(error)}})
                return self._leave_alone(step, failures + 1)
            self._metrics.steps.labels(name, result).inc()
            if result == "conflict":  # news about the object are on their way, unless it lacks the controller's label
                _log.info("step conflicts", extra={FIELDS: _fields(step)})
                return self._leave_alone(step, failures + 1)
            self._failures.pop(step.target, None)
            if isinstance(step, Delete):
                self._metrics.deleted.labels(step.of.resource.kind).inc()
            _log.info("step taken", extra={FIELDS: _fields(step)})
        return None

    def _leave_alone(self, step: Step, failures: int) -> float:
        seconds = pause(failures)
        self._failures[step.target] = (failures, self._clock() + seconds)
        return seconds

    def close(self) -> None:
        """Take no further steps, also not of the groups that are being taken."""
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)


def _fields(step: Step) -> dict[str, str]:
    return {"step": type(step).__name__.lower(), "target": "/".join(filter(None, step.target))}
