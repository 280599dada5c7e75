"""What docs/catalog.md and docs/objects.md show of commands is what these print, but for sizes and times."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import moto_s3
from tests.support.command_line import run
from tests.support.moto_s3 import MotoBucket

DOCS = Path(__file__).parents[2] / "docs"
VARYING = (r"\d+(\.\d+)? ([KMGT]i)?B\b", r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\dZ)?")
PUBLISHED = {"catalog list\n": ("1.2.3", "1.10.0"), "catalog withdraw": ("1.2.3", "1.3.0"), "alias set": ()}
"""The versions that are published before a block of docs/catalog.md, by a command in it."""


def blocks(page: str) -> list[str]:
    return re.findall(r"^```console\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def lasting(text: str) -> Iterator[str]:
    """The lines of a text without what is new in each run."""
    for varying in VARYING:
        text = re.sub(varying, "…", text)
    yield from (" ".join(line.split()) for line in text.splitlines())


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def bucket(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MotoBucket:
    """A bucket, and the folder with the model's files as the working directory."""
    (tmp_path / "my-model").mkdir()
    for number in range(12):
        (tmp_path / "my-model" / f"{number}.bin").write_bytes(bytes(1000))
    monkeypatch.chdir(tmp_path)
    return moto_s3.make_bucket(s3)


@pytest.mark.parametrize("command", PUBLISHED)
def test_the_catalog_prints_what_its_page_shows(command: str, bucket: MotoBucket, tmp_path: Path) -> None:
    (block,) = (each for each in blocks("catalog.md") if command in each)

    def printed(*arguments: str) -> str:
        settings = {
            "BUCKET": bucket.name,
            "PREFIX": "model-artifacts",
            "REGION": "us-east-1",
            "ENDPOINT_URL": bucket.url,
        }
        named = {f"MODEL_INJECTOR_{name}": value for name, value in {**settings, "CATALOG__MODE": "s3"}.items()}
        done = run(*arguments, **named, **moto_s3.CREDENTIALS)
        assert done.returncode == 0, done.stderr
        return (done.stderr + done.stdout).replace(bucket.name, "my-ml-bucket").replace(str(tmp_path), "/home/me")

    for version in PUBLISHED[command]:
        printed("publish", "./my-model", "my-model", version)
    if PUBLISHED[command]:
        printed("catalog", "alias", "set", "my-model", "champion", "1.2.3")
    for each in block.removeprefix("$ ").split("\n$ "):
        line, _, shown = each.partition("\n")
        shown = re.sub(r"^NAMESPACE.*", "", shown, flags=re.DOTALL | re.MULTILINE)  # of a cluster
        assert set(lasting(shown)) <= set(lasting(printed(*shlex.split(line)[1:])))


def test_the_hash_of_a_name_is_that_of_the_command() -> None:
    (block,) = (each for each in blocks("objects.md") if "sha256sum" in each)
    line, shown = block.removeprefix("$ ").split("\n", 1)
    assert subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=True).stdout == shown
