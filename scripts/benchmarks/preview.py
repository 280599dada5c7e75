"""How long previews take, and what they cost the pods that are admitted meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop
import yaml

from benchmarks.admission import CATALOGS, Side, example_reviews
from benchmarks.load_generator import Figures, load
from benchmarks.pods import ROOT
from benchmarks.processes import pss_mib, tree
from benchmarks.report import Figure, compared, median
from benchmarks.surroundings import NAMESPACE, TOKEN, Started, everything_on, surroundings
from tests.support.webhook import HOST
from webhook.preview import SERVED

_PREVIEW: Final = "Previews"
_BESIDE: Final = "/mutate on 1 connection while a client previews the largest manifest"


def measure(work: Path, rounds: int, seconds: float) -> Iterator[Figure]:
    """Preview a small and a large manifest, then measure /mutate alone and beside previews in turn."""
    small, large = (ROOT / "examples" / "deployment.yaml").read_bytes(), large_manifest()
    versions = CATALOGS[-1]
    with surroundings(work, [versions]) as around, everything_on(work / "webhook", around, versions) as started:
        yield Figure(_PREVIEW, "the first one, of the example's Deployment", "ms", preview(started, small))
        repeated = [preview(started, small) for _ in range(100)]
        yield Figure(_PREVIEW, "later ones, p50", "ms", median(repeated))
        yield Figure(
            _PREVIEW, f"a manifest of {len(large) / 1000:,.0f} kB, p50", "ms", _largest(started, large, rounds)
        )
        (worker,) = tree(started.webhook.process.pid)[1:]
        yield Figure(_PREVIEW, "PSS of the process that reads and writes text", "MiB", pss_mib(worker))
        side = Side((HOST, started.webhook.port, "/mutate"), started.trust, example_reviews())
        yield from _beside(started, side, large, rounds, seconds)


def large_manifest() -> bytes:
    """The example's Deployment with a field that fills it up to nearly the limit of nodes."""
    manifest = yaml.safe_load((ROOT / "examples" / "deployment.yaml").read_text())
    return yaml.safe_dump({**manifest, "x": ["a"] * (SERVED.nodes - 1000)}).encode()


def preview(started: Started, manifest: bytes) -> float:
    """The milliseconds of a preview on a new connection, without those of connecting."""
    with _client(started) as client:
        client.get("/openapi.json")
        began = time.perf_counter()
        client.post("/preview", content=manifest, params={"namespace": NAMESPACE}).raise_for_status()
        return (time.perf_counter() - began) * 1000


def _client(started: Started) -> httpx.Client:
    base = f"https://{HOST}:{started.webhook.port}"
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=base, verify=started.trust, headers=headers, timeout=30, trust_env=False)


def _largest(started: Started, manifest: bytes, rounds: int) -> float:
    return median(preview(started, manifest) for _ in range(rounds))


def _beside(started: Started, side: Side, manifest: bytes, rounds: int, seconds: float) -> Iterator[Figure]:
    alone, beside = list[Figures](), list[Figures]()
    for _ in range(rounds + 1):
        alone.append(uvloop.run(load(*side, 1, seconds)))
        with _asking(started, manifest):
            beside.append(uvloop.run(load(*side, 1, seconds)))
    for name, unit in (("p50_ms", "ms"), ("p99_ms", "ms"), ("requests_per_second", "requests/s")):
        label = name.partition("_ms")[0].replace("requests_per_second", "throughput")
        ones, others = _values(beside, name), _values(alone, name)
        yield Figure(_BESIDE, f"alone, {label}", unit, median(others), is_other=True)
        yield compared(Figure(_BESIDE, f"beside previews, {label}", unit), ones, f"alone, {label}", others)


def _values(figures: list[Figures], name: str) -> list[Any]:
    """Without those of the first round, which warms up."""
    return [getattr(each, name) for each in figures[1:]]


@contextmanager
def _asking(started: Started, manifest: bytes) -> Iterator[None]:
    """Run a client that previews a manifest repeatedly while the context lasts."""
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            preview(started, manifest)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
