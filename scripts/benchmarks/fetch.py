"""Downloads of a model: the init container's script beside s5cmd alone and other clients, from one S3 server.

S3 is rclone over a folder, on loopback. Each client downloads to a new folder with its own defaults; s5cmd has the
flags that the init container gives it. Memory is the largest sampled PSS of the client's processes.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.models import BUCKET, FLAGS, FOLDER, PARTS, URI, environment, write_model
from benchmarks.processes import Run, processor_seconds, run, sampled, wait
from benchmarks.report import Bound, Figure, compared, median, missing
from benchmarks.tools import NotInstalled, installed
from tests.support import programs, rclone
from tests.support.container import InitContainer

S5CMD, SCRIPT = "s5cmd cp", "init container, verify: size"
AWS_CLI, KSERVE, RCLONE = "aws s3 cp", "KServe's storage initializer", "rclone copy"
_LIMIT_SECONDS: Final = 1800
_KSERVE: Final = "import sys; from kserve_storage import Storage; Storage.download(*sys.argv[1:])"


class Model(NamedTuple):
    """What is downloaded, and the bound of the init container's time, as a multiple of that of s5cmd."""

    name: str
    mib: int
    small: int
    small_bytes: int
    bound: Bound | None


def few_large(mib: int) -> Model:
    """Weights, with a tokenizer and the like."""
    return Model(f"{mib:,} MiB in 4 files, and 300 of 2 kB", mib, 300, 2000, Bound(1.1))


def many_small(files: int) -> Model:
    """A data set. The part of the time that is the script's own is larger."""
    return Model(f"{files:,} files of 20 kB", 0, files, 20_000, None)


def measure(work: Path, rounds: int, mib: int, files: int) -> Iterator[Figure]:
    """Measure all clients for both models."""
    yield from compare(work / "large", rounds, few_large(mib))
    yield from compare(work / "small", rounds, many_small(files))


def compare(work: Path, rounds: int, model: Model, *, others: bool = True) -> Iterator[Figure]:
    """Measure the clients in turn. Without `others`, s5cmd and the init container alone."""
    write_model(work / "s3" / BUCKET / FOLDER, model.mib, 4 if model.mib else 0, model.small, model.small_bytes)
    with rclone.serve(work / "s3", work / "s3.log") as endpoint:
        sides: dict[str, Callable[[], Run]] = dict(_sides(work, endpoint))
        reasons: dict[str, str] = {}
        if others:
            further, reasons = _others(work, endpoint)
            sides |= further
        found: dict[str, list[Run]] = {name: [] for name in sides}
        for _ in range(rounds + 1):
            for name, side in sides.items():
                found[name].append(side())
                shutil.rmtree(work / "volume")
    shutil.rmtree(work)
    yield from _figures(model, {name: runs[1:] for name, runs in found.items()}, reasons)


def _figures(model: Model, found: Mapping[str, list[Run]], reasons: Mapping[str, str]) -> Iterator[Figure]:
    """The first round warms up, and is not among them."""
    seconds = {name: [each.seconds for each in runs] for name, runs in found.items()}
    group = f"Seconds to download {model.name}"
    yield Figure(group, S5CMD, "s", median(seconds.pop(S5CMD)), is_other=True)
    for name, taken in seconds.items():
        bound = model.bound if name == SCRIPT else None
        figure = Figure(group, name, "s", is_other=name != SCRIPT)
        yield compared(figure, taken, S5CMD, [each.seconds for each in found[S5CMD]], bound)
    for name, reason in reasons.items():
        yield missing(group, name, f"not installed: {reason}")
    processor, memory = f"Processor seconds for {model.name}", f"Memory for {model.name}, largest PSS"
    for name, runs in found.items():
        yield Figure(processor, name, "s", median(each.processor for each in runs), is_other=name != SCRIPT)
    for name, runs in found.items():
        yield Figure(memory, name, "MiB", max(each.memory for each in runs), is_other=name != SCRIPT)


def _sides(work: Path, endpoint: str) -> Iterator[tuple[str, Callable[[], Run]]]:
    env, volume = environment(endpoint, work), work / "volume"
    bare = (programs.s5cmd(), *FLAGS, "cp", "-c", str(PARTS), f"{URI}/*", f"{volume}/")
    yield S5CMD, lambda: run(bare, env)
    image = programs.install_image(work / "image")
    yield SCRIPT, lambda: _script(InitContainer(f"{URI}/*", volume, image, env, work))


def _script(container: InitContainer) -> Run:
    """Run the script to its end. Raises RuntimeError unless it is complete."""
    os.sync()
    before, started = processor_seconds(), time.perf_counter()
    running = container.start(limit=_LIMIT_SECONDS, parts=PARTS, flags=FLAGS)
    with sampled(running.process.pid) as peak:
        wait(running.process)
        seconds = time.perf_counter() - started
    outcome = running.wait()
    if outcome.reason != "Complete":
        raise RuntimeError(outcome.log)
    return Run(seconds, processor_seconds() - before, peak.mib)


def _others(work: Path, endpoint: str) -> tuple[dict[str, Callable[[], Run]], dict[str, str]]:
    """Further clients, and the reasons for which some are not here."""
    env, volume = environment(endpoint, work), work / "volume"
    remote = {"RCLONE_S3_PROVIDER": "Other", "RCLONE_S3_ENV_AUTH": "true", "RCLONE_S3_ENDPOINT": endpoint}
    copy = (programs.rclone(), "--config", "", "copy", f":s3:{BUCKET}/{FOLDER}", volume)
    sides: dict[str, Callable[[], Run]] = {RCLONE: lambda: run(copy, {**env, **remote})}
    try:
        folder = installed()
    except NotInstalled as error:
        return sides, {AWS_CLI: str(error), KSERVE: str(error)}
    cli = (folder / "aws", "s3", "cp", "--recursive", "--only-show-errors", f"{URI}/", volume)
    kserve = (folder / "python", "-c", _KSERVE, f"{URI}/", str(volume))
    return sides | {AWS_CLI: lambda: run(cli, env), KSERVE: lambda: run(kserve, env)}, {}
