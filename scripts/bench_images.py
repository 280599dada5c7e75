"""Measures `model-injector image push` against `skopeo copy` of the same image to the same registry. Prints JSON.

S3 is rclone over a folder, and the registry is Debian's docker-registry, both on loopback. skopeo reads the image from
a folder that `model-injector image build` has written, and copies it as it is. Both sides run in turn, each time to a
new registry, because skopeo would mount layers that it has copied before.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.support import programs, rclone, registry
from webhook.catalog.bucket.manifest import Manifest, ManifestFile, sums

BUCKET, FOLDER = "my-ml-bucket", "my-model-1.2.3"
MIB: Final = 1 << 20


class Run(NamedTuple):
    """Seconds of time, seconds of both processors, and the peak of the resident memory in MiB."""

    seconds: float
    processor: float
    memory: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=2048, help="the size of the model in MiB (2048)")
    parser.add_argument("--files", type=int, default=4, help="the number of its large files (4)")
    parser.add_argument("--small", type=int, default=300, help="the number of its files of 2 kB (300)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-injector-bench-") as name:
        work = Path(name)
        write_model(work / "s3" / BUCKET / FOLDER, options.mib, options.files, options.small)
        with rclone.serve(work / "s3", work / "rclone.log") as s3:
            print(json.dumps(measure(work, s3, options.rounds), indent=2))
    return 0


def write_model(folder: Path, mib: int, large: int, small: int) -> None:
    """Write a version, as publishing does."""
    folder.mkdir(parents=True)
    sizes = {f"weights-{number}.bin": mib // large * MIB for number in range(large)}
    sizes |= {f"tokenizer-{number:04}.json": 2000 for number in range(small)}
    files = []
    for name, size in sorted(sizes.items()):
        found = hashlib.sha256()
        with (folder / name).open("wb") as file:
            for start in range(0, size, MIB):
                chunk = os.urandom(min(MIB, size - start))
                found.update(chunk)
                file.write(chunk)
        files.append(ManifestFile(name, size, found.hexdigest()))
    (folder / "SHA256SUMS").write_bytes(sums(tuple(files)))
    manifest = Manifest("my-model", "1.2.3", datetime(2026, 1, 1, tzinfo=UTC), tuple(files))
    (folder / "manifest.json").write_bytes(manifest.encode())


def measure(work: Path, s3: str, rounds: int) -> dict[str, Any]:
    settings = work / "settings.yaml"
    settings.write_text(yaml.safe_dump({"bucket": BUCKET, "endpointUrl": s3, "region": "us-east-1"}))
    layout = work / "layout"
    ours = (sys.executable, "-m", "webhook", "image")
    config = ("--config", str(settings))
    run((*ours, "build", "my-model@1.2.3", "-o", str(layout), *config))
    sides: dict[str, Callable[[str], Sequence[str]]] = {
        "image push": lambda address: (*ours, "push", "my-model@1.2.3", f"{address}/my-model", *config),
        "skopeo copy": lambda address: (
            *(str(programs.skopeo()), "--insecure-policy", "copy", "--all", "--preserve-digests"),
            *("--dest-tls-verify=false", f"oci:{layout}:1.2.3", f"docker://{address}/my-model:1.2.3"),
        ),
    }
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, command in sides.items():
            with registry.serve(work / "registry") as address:
                runs[side].append(run(command(address)))
            shutil.rmtree(work / "registry")
    result: dict[str, Any] = {
        side: {
            "seconds": round(statistics.median(each.seconds for each in found), 2),
            "processor seconds": round(statistics.median(each.processor for each in found), 2),
            "memory MiB": round(max(each.memory for each in found)),
        }
        for side, found in runs.items()
    }
    ratios = [one.seconds / other.seconds for one, other in zip(*runs.values(), strict=True)]
    result["ratio"] = round(statistics.median(ratios), 2)
    return result


def run(command: Sequence[str]) -> Run:
    """Run a command to its end."""
    os.sync()  # what the run before has written is not written during this one
    env = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": rclone.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": rclone.SECRET_KEY,
        "DOCKER_CONFIG": "/nowhere",
    }
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = process.stderr.read() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(errors)
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    raise SystemExit(main())
