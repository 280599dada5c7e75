"""The requests that a short run of scripts/soak loses, as a figure."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Bound, Figure


def measure(work: Path, minutes: float) -> Iterator[Figure]:
    """Run it. Raises RuntimeError with what it printed if it gives no result."""
    result = work / "soak.json"
    command: list[str | Path] = [sys.executable, "-m", "soak_testing", "--minutes", str(minutes), "--json", result]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            printed, _ = process.communicate()
        except BaseException:
            process.terminate()  # it stops the replicas; killing it would leave them behind
            raise
    if not result.exists():
        raise RuntimeError(printed[-2000:])
    found = json.loads(result.read_text())
    group = f"Under load, scripts/soak --minutes {minutes:g}"
    for name in ("lost", "wrong"):
        yield Figure(group, f"{name} answers of {found['requests']:,}", "", len(found[name]), bound=Bound(0))
    yield Figure(group, "malformed bodies", "", found["malformed"], bound=Bound(10_000, is_least=True))
    yield Figure(group, "changes of the caBundle", "", len(found["authorities"]), bound=Bound(1, is_least=True))
