"""The progress of downloads: from logs to events and figures."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.annotations.injected import InjectedModel, encode
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.observed import Pod
from webhook.controller.progress import (
    ContainerKey,
    Download,
    Figures,
    Known,
    Progress,
    Round,
    decide,
    describe,
    downloads,
    parse,
    to_read,
)
from webhook.controller.steps import Emit
from webhook.fetching.script import MARK, SCRIPT

JSON = dict[str, Any]
PREFIX = "model-injector.io"
FOLDER = "s3://my-ml-bucket/model-artifacts/my-model-1.2.3"
GIB = 1024**3
LINE = "progress: 12884901888 of 48318382080 bytes, 214748364 bytes/s, 165 s left\n"
TEXT = "my-model 1.2.3: 12.0 of 45.0 GiB, 205 MiB/s, 2m45s left"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMPLETE = (
    '{"reason":"Complete","files":4,"bytes":48318382080,"seconds":220,"message":"/model-artifacts/my-model-1.2.3"}\n'
)
FAILED = '{"reason":"Unreachable","files":0,"bytes":0,"seconds":1800,"message":"no such host\\n"}\n'


def running(started: str = "2026-01-01T11:59:00Z") -> JSON:
    return {"running": {"startedAt": started}}


def terminated(message: str, exit_code: int = 0, reason: str = "Completed") -> JSON:
    return {"terminated": {"exitCode": exit_code, "reason": reason, "message": message, "startedAt": None}}


def pod(state: JSON | None = None, *, name: str = "app-0", phase: str = "Pending", **changes: Any) -> Pod:
    """A pod whose init container is in a state."""
    content: JSON = {
        "metadata": {
            "name": name,
            "namespace": "apps",
            "uid": f"uid-of-{name}",
            "annotations": {
                f"{PREFIX}/injected": encode(
                    (InjectedModel("my-model", "^1.0", "1.2.3", "s3-init", FOLDER, None, None, None),)
                )
            },
            **changes.get("metadata", {}),
        },
        "spec": {
            "initContainers": [
                {"name": "istio-init", "image": "istio"},
                {
                    "name": "fetch-my-model",
                    "command": ["/bin/sh", "-c", SCRIPT, changes.get("mark", MARK)],
                    "args": [f"{FOLDER}/*", "/model-artifacts/my-model-1.2.3", "-", "size"],
                },
            ],
            "containers": [{"name": "app"}],
        },
        "status": {
            "phase": phase,
            "initContainerStatuses": [
                {"name": "istio-init", "state": terminated("")},
                {
                    "name": "fetch-my-model",
                    "restartCount": changes.get("restarts", 0),
                    "state": state or running(),
                    "lastState": changes.get("last", {}),
                },
            ],
        },
    }
    return msgspec.json.decode(msgspec.json.encode(content), type=Pod)


class Rounds:
    """Rounds, one after the other, of which each knows what the last one knew."""

    def __init__(self) -> None:
        self.known: Mapping[ContainerKey, Known] = {}
        self.now = NOW

    def __call__(self, *pods: Pod, log: str = LINE, seconds: float = 10) -> Round:
        """A round in which each running container has this last line, so many seconds after the last one."""
        found = downloads(pods, PREFIX, self.known)
        result = decide(found, {each.key: log for each in to_read(found)}, self.known, self.now)
        self.known, self.now = result.known, self.now + timedelta(seconds=seconds)
        return result

    def told(self, *pods: Pod, log: str = LINE, seconds: float = 10) -> list[str]:
        """The texts of the events of a round."""
        return [step.message for step in self(*pods, log=log, seconds=seconds).steps]


def found(*pods: Pod) -> list[Download]:
    """The downloads of the first round."""
    return downloads(pods, PREFIX, {})


def test_a_line_is_parsed() -> None:
    assert parse(LINE) == Progress(12 * GIB, 45 * GIB, 214748364, 165)
    assert parse("progress: 1 of 2 bytes, 0 bytes/s") == Progress(1, 2, 0, None)


@pytest.mark.parametrize(
    "log",
    [
        "",
        "progress: 12884901888 of 483183",
        "progress: 1 of 2 bytes, 3 bytes/s, 4",
        "progress: 1 of 2 bytes, -3 bytes/s",
        "a progress: 1 of 2 bytes, 3 bytes/s",
        f"progress: {'9' * 19} of 1 bytes, 1 bytes/s",
        "progress: \u0661 of 2 bytes, 3 bytes/s",
        "Unreachable, retrying: no such host",
    ],
)
def test_nothing_else_is_taken_for_one(log: str) -> None:
    assert parse(log) is None


amounts = st.integers(0, 10**18 - 1)


@given(st.text(), amounts, amounts, amounts, st.none() | amounts)
def test_the_last_line_counts_whatever_stands_before(
    before: str, done: int, total: int, speed: int, left: int | None
) -> None:
    line = f"progress: {done} of {total} bytes, {speed} bytes/s" + ("" if left is None else f", {left} s left")
    progress = Progress(done, total, speed, left)
    assert parse(f"{before}\n{line}\n") == progress
    assert parse(f"{line}\nUnreachable, retrying: no such host\n") == progress
    assert "\n" not in describe(progress)


@given(st.text() | st.text("progress: of bytes,/s left0123456789\n"))
def test_any_log_is_readable(log: str) -> None:
    parse(log)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(12 * GIB, 45 * GIB, 214748364, 165), "12.0 of 45.0 GiB, 205 MiB/s, 2m45s left"),
        (Progress(1024, 4 * 1024**2, 0), "0.0 of 4.0 MiB, 0 B/s"),
        (Progress(5, 1023, 1, 59), "5 of 1023 B, 1 B/s, 59s left"),
        (Progress(0, 2 * 1024**5, 1024, 36000), "0.0 of 2048.0 TiB, 1 KiB/s, 10h00m left"),
        (Progress(0, 0, 0), "0 of 0 B, 0 B/s"),
    ],
)
def test_people_read_it_in_units(progress: Progress, text: str) -> None:
    assert describe(progress) == text


def test_a_pod_that_downloads_is_found_with_its_model() -> None:
    (download,) = found(pod())
    assert (download.pod.namespace, download.pod.name, download.container) == ("apps", "app-0", "fetch-my-model")
    assert (download.model, download.version) == ("my-model", "1.2.3")


def test_the_pod_of_a_job_names_the_model_by_labels() -> None:
    labels = {f"{PREFIX}/model": "my-model", f"{PREFIX}/version": "1.2.3"}
    (download,) = found(pod(metadata={"labels": labels, "annotations": None}))
    assert download.what == "my-model 1.2.3"


@pytest.mark.parametrize("annotations", [None, {f"{PREFIX}/injected": "{"}, {f"{PREFIX}/injected": "[]"}])
def test_a_pod_that_names_no_model_is_found_by_its_folder(annotations: JSON | None) -> None:
    (download,) = found(pod(metadata={"annotations": annotations}))
    assert download.what == "my-model-1.2.3"


@pytest.mark.parametrize(
    "other",
    [
        pod(mark="another-script"),
        pod(phase="Running"),
        pod({"waiting": {"reason": "PodInitializing"}}),
        pod(terminated(COMPLETE)),
        pod(terminated(FAILED, 1)),
        pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        msgspec.convert({"metadata": {"name": "new"}}, Pod),
    ],
    ids=["another script", "runs", "waits", "complete", "failed", "deleted", "new"],
)
def test_other_pods_are_not(other: Pod) -> None:
    assert found(other) == []


def test_memory_holds_neither_scripts_nor_the_metadata_of_other_pods() -> None:
    assert len(msgspec.json.encode(pod())) < 2000
    assert len(msgspec.json.encode(pod(mark="another-script", metadata={"labels": {"a": "b" * 1000}}))) < 400


def test_of_too_many_downloads_the_oldest_are_read() -> None:
    pods = [pod(running(f"2026-01-01T11:{minute:02}:00Z"), name=f"app-{minute}") for minute in range(5)]
    assert [each.pod.name for each in to_read(found(*reversed(pods)), 2)] == ["app-0", "app-1"]


def test_the_first_line_is_told_at_once_and_the_next_after_a_minute() -> None:
    rounds = Rounds()
    assert rounds.told(pod(), log="s3://…: 0,0 of 4,48318382080 here") == []
    told = [rounds.told(pod()) for _ in range(13)]
    assert [index for index, texts in enumerate(told) if texts] == [0, 6, 12]
    assert told[0] == [TEXT]


def test_the_events_of_a_container_are_one_that_is_written_again() -> None:
    rounds = Rounds()
    events = [step for _ in range(13) for step in rounds(pod()).steps]
    assert len({event.name for event in events}) == 1
    assert [event.count for event in events] == [1, 2, 3]
    assert {event.since for event in events} == {"2026-01-01T11:59:00Z"}
    (other,) = rounds(pod(), pod(name="app-1")).steps
    assert other.name != events[0].name


def test_the_end_is_told_once() -> None:
    rounds = Rounds()
    rounds(pod())
    done = pod(terminated(COMPLETE), phase="Running")
    assert rounds.told(done) == ["my-model 1.2.3: 45.0 GiB in 3m40s"]
    assert rounds.told(done) == []
    assert rounds.known == {}


def test_a_download_that_is_over_before_its_first_line_is_not_told() -> None:
    rounds = Rounds()
    assert rounds.told(pod(), log="") == []
    assert rounds.told(pod(terminated(COMPLETE))) == []


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (terminated(FAILED, 1, "Error"), "my-model 1.2.3: Unreachable: no such host?"),
        (terminated("", 137, "OOMKilled"), "my-model 1.2.3: exit status 137 OOMKilled"),
        (terminated("[" * 4096, 1, "Error"), "my-model 1.2.3: exit status 1 Error"),
        (terminated("not JSON", 0), "my-model 1.2.3: done"),
    ],
)
def test_the_end_says_what_the_container_said(state: JSON, text: str) -> None:
    rounds = Rounds()
    rounds(pod())
    assert rounds.told(pod(state)) == [text]


def test_a_failure_is_a_warning_and_told_once_for_each_attempt() -> None:
    rounds = Rounds()
    rounds(pod())
    failure = terminated(FAILED, 1, "Error")
    waiting = pod({"waiting": {"reason": "CrashLoopBackOff"}}, last=failure)
    (event,) = rounds(pod(failure)).steps
    assert (event.type, event.reason, event.count) == ("Warning", "DownloadFailed", 2)
    assert rounds.told(waiting) == []
    assert rounds.told(pod(restarts=1), log="") == []
    assert rounds.told(pod(failure, restarts=1)) == ["my-model 1.2.3: Unreachable: no such host?"]
    assert rounds.told(pod({"waiting": {}}, last=failure, restarts=1)) == []
    assert rounds.told(pod(terminated(COMPLETE), restarts=2)) == ["my-model 1.2.3: 45.0 GiB in 3m40s"]


def test_figures_are_sums_by_namespace_and_model() -> None:
    rounds = Rounds()
    result = rounds(pod(), pod(name="app-1"), pod(name="app-2", metadata={"namespace": "other"}))
    assert result.figures == {
        ("apps", "my-model"): Figures(2, 24 * GIB, 90 * GIB, 2 * 214748364),
        ("other", "my-model"): Figures(1, 12 * GIB, 45 * GIB, 214748364),
    }
    assert rounds(pod(terminated(COMPLETE))).figures == {}


def test_figures_stay_while_the_last_line_says_something_else() -> None:
    rounds = Rounds()
    before = rounds(pod()).figures
    assert rounds(pod(), log="Unreachable, retrying: no such host").figures == before
    assert rounds(pod(restarts=1), log="").figures == {("apps", "my-model"): Figures(1)}


@given(st.lists(st.tuples(st.sampled_from(["run", "fail", "wait", "done", "gone"]), st.text()), max_size=30))
def test_no_order_of_events_tells_more_than_a_minute_allows(history: list[tuple[str, str]]) -> None:
    rounds, restarts, steps, forgotten = Rounds(), 0, list[Emit](), 0
    states = {"run": running(), "fail": terminated(FAILED, 1), "wait": {"waiting": {}}, "done": terminated(COMPLETE)}
    last: JSON = {}
    for now, log in history:
        pods = [] if now == "gone" else [pod(states[now], restarts=restarts, last=last)]
        steps += rounds(*pods, log=log or LINE).steps
        forgotten += now in {"gone", "done"} or (now == "wait" and not last)
        if now == "fail":
            last, restarts = terminated(FAILED, 1), restarts + 1
    lines = sum(step.reason == "Downloading" for step in steps)
    ends = len(steps) - lines
    assert lines <= 1 + len(history) // 6 + forgotten
    assert ends <= restarts + sum(now in {"wait", "done"} for now, _ in history)


def test_metrics_forget_what_is_over() -> None:
    metrics = ControllerMetrics()
    metrics.downloading({("apps", "my-model"): Figures(2, 1, 3, 4)})
    rendered = metrics.render().decode()
    for name, value in {"downloads": 2, "download_bytes": 1, "download_total_bytes": 3}.items():
        assert f'model_injector_controller_{name}{{model="my-model",namespace="apps"}} {value}.0' in rendered
    assert "download_bytes_per_second{" in rendered
    metrics.downloading({})
    assert "my-model" not in metrics.render().decode()
