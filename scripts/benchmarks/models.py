"""Versions of a model in a folder that an S3 server serves."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.support import rclone
from webhook.catalog.bucket.manifest import Manifest, ManifestFile, sums

BUCKET: Final = "my-ml-bucket"
FOLDER: Final = "my-model-1.2.3"
URI: Final = f"s3://{BUCKET}/{FOLDER}"
MIB: Final = 1 << 20
FLAGS: Final = ("--numworkers", "32", "--retry-count", "3")
PARTS: Final = 16
"""What pods give to s5cmd by default."""


def environment(endpoint: str, home: Path) -> dict[str, str]:
    """What clients of the S3 server need, and nothing of this machine's."""
    return {
        "AWS_ACCESS_KEY_ID": rclone.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": rclone.SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "S3_ENDPOINT_URL": endpoint,
        "HOME": str(home),
    }


def write_model(folder: Path, mib: int, large: int, small: int, small_bytes: int = 2000) -> None:
    """Write a version, as publishing does: `mib` in `large` files, and `small` files of `small_bytes`."""
    folder.mkdir(parents=True)
    sizes = {f"weights-{number}.bin": mib * MIB // large for number in range(large)}
    sizes |= {f"part-{number // 100:03}/{number:05}.json": small_bytes for number in range(small)}
    files = []
    for name, size in sorted(sizes.items()):
        found = hashlib.sha256()
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as file:
            for start in range(0, size, MIB):
                chunk = os.urandom(min(MIB, size - start))
                found.update(chunk)
                file.write(chunk)
        files.append(ManifestFile(name, size, found.hexdigest()))
    (folder / "SHA256SUMS").write_bytes(sums(tuple(files)))
    manifest = Manifest("my-model", "1.2.3", datetime(2026, 1, 1, tzinfo=UTC), tuple(files))
    (folder / "manifest.json").write_bytes(manifest.encode())
