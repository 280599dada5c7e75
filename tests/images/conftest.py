"""A registry, a bucket with models, and the command that makes images of them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import moto_s3, registry
from tests.support.command_line import Done, run
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.manifest import Manifest, ManifestFile, sums

PREFIX = "model-artifacts"
LARGE = 100_000
"""The size from which files have a layer of their own here."""
FILES: Mapping[str, bytes] = {
    "config.json": b'{"architecture": "sample"}',
    "tokenizer/vocab.txt": b"a\nb\n",
    "tokenizer/empty": b"",
    "weights-1.bin": bytes(range(256)) * 1000,
    "weights-2.bin": bytes(range(255, -1, -1)) * 1000,
}


@pytest.fixture(autouse=True)
def small_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.images.layers.LARGE", LARGE)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.images.stream._LONGEST_PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The registry's host and port."""
    with registry.serve(tmp_path_factory.mktemp("images") / "registry") as address:
        yield address


@pytest.fixture
def repository(address: str, request: pytest.FixtureRequest) -> str:
    """A repository of the registry that no other test uses."""
    return f"{address}/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}/my-model"


@pytest.fixture
def s3_proxy(s3: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3) as proxy:
        yield proxy


@dataclass(frozen=True)
class World:
    """A bucket, and the command with its settings. Docker's configuration is in `docker`, and empty at first."""

    bucket: MotoBucket
    folder: Path
    docker: Path

    def publish(self, version: str = "1.2.3", files: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
        """Publish a version; gives all files of its folder."""
        listed = tuple(
            ManifestFile(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()
        )
        manifest = Manifest("my-model", version, datetime(2026, 1, 1, tzinfo=UTC), listed).encode()
        every = {**files, "SHA256SUMS": sums(listed), "manifest.json": manifest}
        for name, content in every.items():
            self.put(name, content, version)
        return every

    def put(self, name: str, content: bytes, version: str = "1.2.3") -> None:
        self.bucket.put(f"{PREFIX}/my-model-{version}/{name}", content)

    def run(self, subcommand: str, *arguments: str, **env: str) -> Done:
        command = (*subcommand.split(), "--config", str(self.folder / "settings.yaml"), *arguments)
        return run(*command, **{**self.env, **env})

    @property
    def env(self) -> dict[str, str]:
        return {**moto_s3.CREDENTIALS, "DOCKER_CONFIG": str(self.docker)}

    def push(self, repository: str, version: str = "1.2.3", **env: str) -> str:
        """Push an image; gives its reference."""
        done = self.run("image push", f"my-model@{version}", repository, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def uploaded(self, repository: str, version: str) -> int:
        """Push an image; gives how many bytes of its layers were not in the registry."""
        done = self.run("image push", f"my-model@{version}", repository, "-o", "json")
        assert done.returncode == 0, done.stderr
        uploaded: int = json.loads(done.stdout)["uploaded"]
        return uploaded

    def recorded(self, version: str = "1.2.3") -> str | None:
        """The image of a version, as the catalog has it."""
        done = self.run("catalog show", "my-model", version, "-o", "json")
        assert done.returncode == 0, done.stderr
        image: str | None = json.loads(done.stdout)["image"]
        return image


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(s3: str, s3_proxy: FaultyProxy, tmp_path: Path) -> MakeWorld:
    """Makes a world; arguments are settings."""

    def make(**settings: Any) -> World:
        bucket = moto_s3.make_bucket(s3)
        defaults = {
            "bucket": bucket.name,
            "prefix": PREFIX,
            "endpointUrl": s3_proxy.url,
            "region": "us-east-1",
            "catalog": {"mode": "s3"},
        }
        (tmp_path / "settings.yaml").write_text(yaml.safe_dump({**defaults, **settings}))
        (tmp_path / "docker").mkdir()
        return World(bucket, tmp_path, tmp_path / "docker")

    return make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()
