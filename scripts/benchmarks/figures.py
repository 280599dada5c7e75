"""Every figure of the webhook that has a bound, from the shortest runs that show it."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import admission, cluster, fetch, images, node_cache, soak, start
from benchmarks.report import Bound, Figure, missing

ROOT: Final = Path(__file__).parents[2]
_GROUP: Final = "Figures with a bound"
_SECONDS: Final = 2
_CREATIONS: Final = 300
_SOAK_MINUTES: Final = 2
_TESTS: Final = "scripts/test"
_AT_MOST: Final = Bound(6)


def measure(work: Path, rounds: int, mib: int) -> Iterator[Figure]:
    """Measure area by area. What other commands measure is named with its command."""
    for figure in _all(work, rounds, mib):
        if figure.bound:
            yield replace(figure, group=_GROUP, name=f"{figure.group}: {figure.name}")
    yield _tests()


def _tests() -> Figure:
    """The minutes of all tests, without the variables of Python that a machine has."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    started = time.monotonic()
    failed = subprocess.run([ROOT / "scripts" / "test", "--quiet"], env=env, check=False).returncode
    minutes = (time.monotonic() - started) / 60
    return (
        missing(_GROUP, _TESTS, "a test fails", _AT_MOST)
        if failed
        else Figure(_GROUP, _TESTS, "minutes", minutes, bound=_AT_MOST)
    )


def _all(work: Path, rounds: int, mib: int) -> Iterator[Figure]:
    def folder(name: str) -> Path:
        (work / name).mkdir()
        return work / name

    yield from admission.by_catalog(folder("admission"), rounds, _SECONDS)
    yield from start.measure(folder("start"), rounds, _SECONDS)
    yield from fetch.compare(folder("fetch"), rounds, fetch.few_large(mib), others=False)
    yield from node_cache.measure(folder("node-cache"), 1, mib, "119M")
    yield from images.measure(folder("images"), rounds, mib)
    yield from soak.measure(folder("soak"), _SOAK_MINUTES)
    yield from cluster.measure(folder("cluster"), _CREATIONS, "default/default", "")
