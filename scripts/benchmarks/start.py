"""How long `model-injector serve` takes to be ready with everything switched on, and how much memory it has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.admission import CATALOGS, example_reviews
from benchmarks.load_generator import load
from benchmarks.preview import large_manifest, preview
from benchmarks.processes import pss_mib, resident_mib, tree
from benchmarks.report import Bound, Figure, median
from benchmarks.surroundings import everything_on, surroundings
from tests.support.webhook import HOST

_START: Final = "Start, everything on, 10,000 versions"
_MEMORY: Final = "Memory of serve, everything on, 10,000 versions"
_LIMIT: Final = Bound(128)


def measure(work: Path, rounds: int, seconds: float) -> Iterator[Figure]:
    """Start the webhook in rounds; measure the memory of the last one, and after load and previews."""
    versions, took = CATALOGS[-1], []
    with surroundings(work, [versions]) as around:
        for number in range(rounds):
            with everything_on(work / f"start-{number}", around, versions) as started:
                took.append(started.seconds)
        yield Figure(_START, "from the start of the process until /readyz is 200", "s", median(took), bound=Bound(2))
        with everything_on(work / "memory", around, versions) as started:
            pid = started.webhook.process.pid
            yield Figure(_MEMORY, "RSS when it is ready", "MiB", resident_mib(pid))
            url = (HOST, started.webhook.port, "/mutate")
            uvloop.run(load(url, started.trust, example_reviews(), 16, seconds))
            yield Figure(_MEMORY, "RSS after requests on 16 connections", "MiB", resident_mib(pid), bound=_LIMIT)
            preview(started, large_manifest())
            yield Figure(_MEMORY, "RSS after a preview of the largest manifest", "MiB", resident_mib(pid), bound=_LIMIT)
            total = sum(map(pss_mib, tree(pid)))
            yield Figure(_MEMORY, "PSS with the process of previews, which ends later", "MiB", total)
