"""`model-injector image push` beside `skopeo copy` of the same image to the same registry.

S3 is rclone over a folder, and the registry is Debian's docker-registry, both on loopback. skopeo reads the image from
a folder that `model-injector image build` has written, and copies it as it is. Both sides run in turn, each time to a
new registry, because skopeo would mount layers that it has copied before.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from benchmarks.models import BUCKET, FOLDER, environment, write_model
from benchmarks.processes import Run, run
from benchmarks.report import Bound, Figure, compared, median
from tests.support import programs, rclone, registry

OURS, SKOPEO = "image push", "skopeo copy"
_TIME: Final = "Images: seconds until the registry has the image"
_PROCESSOR: Final = "Images: processor seconds of the client"
_MEMORY: Final = "Images: largest memory of the client, PSS"


def measure(work: Path, rounds: int, mib: int) -> Iterator[Figure]:
    """Push a model of `mib` in four files, with 300 small ones."""
    write_model(work / "s3" / BUCKET / FOLDER, mib, 4, 300)
    with rclone.serve(work / "s3", work / "rclone.log") as s3:
        runs = _runs(work, s3, rounds)
    seconds, processor = ({side: [each[field] for each in found] for side, found in runs.items()} for field in (0, 1))
    yield Figure(_TIME, SKOPEO, "s", median(seconds[SKOPEO]), is_other=True)
    yield compared(Figure(_TIME, OURS, "s"), seconds[OURS], SKOPEO, seconds[SKOPEO], Bound(1.3))
    yield Figure(_PROCESSOR, SKOPEO, "s", median(processor[SKOPEO]), is_other=True)
    yield compared(Figure(_PROCESSOR, OURS, "s"), processor[OURS], SKOPEO, processor[SKOPEO])
    yield Figure(_MEMORY, SKOPEO, "MiB", max(each.memory for each in runs[SKOPEO]), is_other=True)
    yield Figure(_MEMORY, OURS, "MiB", max(each.memory for each in runs[OURS]), bound=Bound(128))


def _runs(work: Path, s3: str, rounds: int) -> dict[str, list[Run]]:
    settings, layout = work / "settings.yaml", work / "layout"
    settings.write_text(yaml.safe_dump({"bucket": BUCKET, "endpointUrl": s3, "region": "us-east-1"}))
    command, config = (sys.executable, "-m", "webhook", "image"), ("--config", str(settings))
    env = {**os.environ, **environment(s3, work), "DOCKER_CONFIG": "/nowhere"}
    run((*command, "build", "my-model@1.2.3", "-o", str(layout), *config), env)
    sides: dict[str, Callable[[str], Sequence[str | Path]]] = {
        OURS: lambda address: (*command, "push", "my-model@1.2.3", f"{address}/my-model", *config),
        SKOPEO: lambda address: (
            *(programs.skopeo(), "--insecure-policy", "copy", "--all", "--preserve-digests"),
            *("--dest-tls-verify=false", f"oci:{layout}:1.2.3", f"docker://{address}/my-model:1.2.3"),
        ),
    }
    found: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, made in sides.items():
            with registry.serve(work / "registry") as address:
                found[side].append(run(made(address), env))
            shutil.rmtree(work / "registry")
    return found
