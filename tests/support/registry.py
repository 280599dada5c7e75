"""A real registry on loopback, and a real client that pulls from it."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support import programs

_READY = re.compile(r"listening on (127\.0\.0\.1:\d+)")


@contextmanager
def serve(folder: Path, auth: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Serve a registry from a new folder; gives its address. `auth` is that part of its configuration."""
    folder.mkdir()
    settings = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0"},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    command = (programs.docker_registry(), "serve", folder / "config.yaml")
    with programs.running_server(command, ready=_READY, log=folder / "log", env={"OTEL_TRACES_EXPORTER": "none"}) as it:
        yield it


def skopeo(*arguments: str | Path) -> str:
    """Run skopeo; gives what it prints."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}  # noqa: S108
    command = (programs.skopeo(), "--insecure-policy", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pull(image: str, folder: Path, architecture: str = "amd64") -> "Pulled":
    """Pull an image as a node of this architecture would."""
    shutil.rmtree(folder, ignore_errors=True)
    platform = ("--override-os", "linux", "--override-arch", architecture)
    skopeo(
        *platform, "copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{image}", f"oci:{folder}:pulled"
    )
    return Pulled(folder)


class Pulled:
    """The image in a layout that has no other one."""

    def __init__(self, layout: Path) -> None:
        self._blobs = layout / "blobs" / "sha256"
        (described,) = json.loads((layout / "index.json").read_text())["manifests"]
        self.manifest = self._json(described["digest"])
        self.config = self._json(self.manifest["config"]["digest"])

    @property
    def layers(self) -> list[str]:
        """The digests of its layers."""
        return [layer["digest"] for layer in self.manifest["layers"]]

    def entries(self, layer: str) -> list[tarfile.TarInfo]:
        """What is in a layer."""
        with tarfile.open(self._file(layer), "r:") as archive:
            return archive.getmembers()

    def files(self) -> dict[str, bytes]:
        """The files that a container would see."""
        found: dict[str, bytes] = {}
        for layer in self.layers:
            with tarfile.open(self._file(layer), "r:") as archive:
                for entry in archive:
                    content = archive.extractfile(entry)
                    if content:
                        found[entry.name] = content.read()
        return found

    def _file(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _json(self, digest: str) -> Any:
        return json.loads(self._file(digest).read_text())
