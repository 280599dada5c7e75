"""Downloads under way: what their logs say, and the events and figures that follow.

A round is pure but for the logs: `downloads` finds the containers, `to_read` says whose logs are read, and `decide`
returns the steps. Each round gets what the last one knew. If that is lost, the next event of a download follows at
once, and there is none about the end of one that has ended meanwhile.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.annotations import injected
from webhook.annotations.contract import INJECTED
from webhook.controller.events import EventReason
from webhook.controller.observed import ContainerStatus, Pod, Terminated
from webhook.controller.steps import PODS, Emit, ObjectRef
from webhook.errors import one_line
from webhook.kubernetes.names import short_hash

MOST_READ: Final = 100
"""The maximum number of logs that are read in a round."""
_PAUSE: Final = timedelta(minutes=1)
"""Between two events of a container about its progress."""
_LINE: Final = re.compile(
    r"progress: (\d{1,18}) of (\d{1,18}) bytes, (\d{1,18}) bytes/s(?:, (\d{1,18}) s left)?", re.ASCII
)
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_LONGEST_NAME: Final = 200
ContainerKey: TypeAlias = tuple[str, str]
"""The UID of a pod, and the name of a container."""


class Progress(msgspec.Struct, frozen=True):
    """A progress line of fetch.sh."""

    bytes: int
    total: int
    speed: int
    """Bytes per second."""
    seconds_left: int | None = None


class Download(msgspec.Struct, frozen=True):
    """An init container that downloads or has downloaded."""

    pod: ObjectRef
    container: str
    model: str
    version: str
    """Empty if the pod does not name it."""
    attempt: int
    """How often the container was restarted."""
    started_at: str
    """In RFC 3339. Empty if it does not run."""
    end: Terminated | None = None
    """How the attempt ended. None while it runs."""

    @property
    def key(self) -> ContainerKey:
        """What identifies it in all rounds."""
        return self.pod.uid, self.container

    @property
    def is_complete(self) -> bool:
        """Whether it has succeeded."""
        return self.end is not None and self.end.exit_code == 0

    @property
    def what(self) -> str:
        """The model and the version."""
        return f"{self.model} {self.version}".strip()


class Known(msgspec.Struct, frozen=True):
    """What a round knows of a download, for the next one."""

    attempt: int
    progress: Progress | None = None
    told_at: datetime | None = None
    """The time of the last event. None before the first."""
    told: tuple[int, bool] | None = None
    """The attempt of the last event, and whether the event is about its end."""
    since: str = ""
    """When the attempt of the first event started."""
    count: int = 0
    """The number of events."""


class Figures(msgspec.Struct, frozen=True):
    """Sums over downloads. Bytes, total and speed are of those whose logs were read."""

    count: int = 0
    bytes: int = 0
    total: int = 0
    speed: int = 0

    def plus(self, progress: Progress | None) -> "Figures":
        """The sums with one more download."""
        if not progress:
            return Figures(self.count + 1, self.bytes, self.total, self.speed)
        return Figures(
            self.count + 1, self.bytes + progress.bytes, self.total + progress.total, self.speed + progress.speed
        )


class Round(msgspec.Struct, frozen=True):
    """The result of a round."""

    steps: tuple[Emit, ...]
    figures: Mapping[tuple[str, str], Figures]
    """By namespace and model."""
    known: Mapping[ContainerKey, Known]
    """For the next round."""


class _Outcome(msgspec.Struct, frozen=True):
    """The termination message of fetch.sh."""

    reason: str
    bytes: int
    seconds: int
    message: str


_outcomes: Final = msgspec.json.Decoder(_Outcome)


def parse(log: str) -> Progress | None:
    """The last progress line of a log."""
    for line in reversed(log.splitlines()):
        if found := _LINE.fullmatch(line):
            done, total, speed, left = found.groups()
            return Progress(int(done), int(total), int(speed), None if left is None else int(left))
    return None


def downloads(pods: Iterable[Pod], prefix: str, known: Mapping[ContainerKey, Known]) -> list[Download]:
    """The init containers that download, and those that have ended since the last round knew them.

    `prefix`: the prefix of annotations and labels.
    """
    return [download for pod in pods if not pod.is_deleted for download in _of_pod(pod, prefix, known)]


def to_read(found: Iterable[Download], most: int = MOST_READ) -> list[Download]:
    """The downloads whose logs are to be read: those that run, the oldest first."""
    return sorted((each for each in found if not each.end), key=lambda each: (each.started_at, each.key))[:most]


def decide(
    found: Sequence[Download], logs: Mapping[ContainerKey, str], known: Mapping[ContainerKey, Known], now: datetime
) -> Round:
    """The events and figures of a round. `logs`: the last lines that were read; `known`: of the last round."""
    steps, following = list[Emit](), dict[ContainerKey, Known]()
    figures = dict[tuple[str, str], Figures]()
    for download in found:
        before = known.get(download.key) or Known(download.attempt)
        progress = parse(logs.get(download.key, "")) or (
            before.progress if before.attempt == download.attempt else None
        )
        after = msgspec.structs.replace(before, attempt=download.attempt, progress=progress)
        if not download.end:
            labels = (download.pod.namespace, download.model)
            figures[labels] = figures.get(labels, Figures()).plus(progress)
        if _is_due(download, after, now):
            after = msgspec.structs.replace(
                after,
                told_at=now,
                told=(download.attempt, download.end is not None),
                since=after.since or download.started_at,
                count=after.count + 1,
            )
            steps.append(_event(download, after))
        if not download.is_complete:
            following[download.key] = after
    return Round(tuple(steps), figures, following)


def _of_pod(pod: Pod, prefix: str, known: Mapping[ContainerKey, Known]) -> Iterator[Download]:
    metadata, statuses = pod.metadata, {status.name: status for status in pod.status.init_container_statuses or ()}
    for container in pod.spec.init_containers or ():
        downloaded, status = container.download, statuses.get(container.name)
        if not downloaded or not status:
            continue
        running, end = status.state.running, _end(status)
        is_active = (metadata.uid, container.name) in known if end else running and pod.status.phase == "Pending"
        if not is_active:
            continue
        named = {each.uri: each for each in injected.decode(pod.annotations.get(f"{prefix}/{INJECTED}", ""))}
        entry = named.get(downloaded.uri)
        # Pods of Jobs have no annotation, but the labels of the objects that belong to a version.
        yield Download(
            pod=ObjectRef(PODS, metadata.namespace, metadata.name, metadata.uid, metadata.resource_version),
            container=container.name,
            model=entry.model if entry else pod.labels.get(f"{prefix}/model", downloaded.uri.rpartition("/")[2]),
            version=entry.version if entry else pod.labels.get(f"{prefix}/version", ""),
            attempt=status.restart_count,
            started_at=(running and running.started_at) or "",
            end=end,
        )


def _end(status: ContainerStatus) -> Terminated | None:
    """How the last attempt ended, if none runs."""
    return None if status.state.running else status.state.terminated or status.last_state.terminated


def _is_due(download: Download, known: Known, now: datetime) -> bool:
    """Whether an event is to be written: at the first line, then each minute at most, and at the end of an attempt.

    A download that has ended before its first line has no event.
    """
    if download.end:
        return known.told is not None and known.told != (download.attempt, True)
    return known.progress is not None and (known.told_at is None or now - known.told_at >= _PAUSE)


def _event(download: Download, known: Known) -> Emit:
    kind, reason, text = _described(download, known.progress)
    name = f"{download.pod.name[:_LONGEST_NAME].rstrip('.-')}.{short_hash(' '.join(download.key))}"
    return Emit(download.pod, kind, reason, one_line(f"{download.what}: {text}"), name, known.since, known.count)


def _described(download: Download, progress: Progress | None) -> tuple[Literal["Normal", "Warning"], EventReason, str]:
    """The type, the reason and the text of an event."""
    end = download.end
    if not end:
        return "Normal", "Downloading", describe(progress) if progress else ""
    try:
        outcome = _outcomes.decode(end.message)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        outcome = None
    if download.is_complete:
        return "Normal", "Downloaded", f"{_size(outcome.bytes)} in {_duration(outcome.seconds)}" if outcome else "done"
    if outcome:
        return "Warning", "DownloadFailed", f"{outcome.reason}: {outcome.message}"
    return "Warning", "DownloadFailed", f"exit status {end.exit_code} {end.reason}".strip()


def describe(progress: Progress) -> str:
    """A progress for people: `12.0 of 45.0 GiB, 205 MiB/s, 2m45s left`."""
    unit = _unit(progress.total)
    parts = [
        f"{_number(progress.bytes, unit)} of {_size(progress.total)}",
        f"{progress.speed / 1024 ** _unit(progress.speed):.0f} {_UNITS[_unit(progress.speed)]}/s",
    ]
    if progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _unit(size: int) -> int:
    """The place of the largest unit in which a size is at least 1."""
    return min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)


def _number(size: int, unit: int) -> str:
    return f"{size / 1024**unit:.1f}" if unit else str(size)


def _size(size: int) -> str:
    return f"{_number(size, _unit(size))} {_UNITS[_unit(size)]}"


def _duration(seconds: int) -> str:
    """`45s`, `2m45s` or `1h02m`."""
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}m{seconds:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
