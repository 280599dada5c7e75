"""The root folder of a new claim, which belongs to root: which users of the init container can write to it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fetching.conftest import Model
from tests.support.container import InitContainer
from tests.support.folder import Folder
from tests.support.programs import install_image, on_path, s5cmd

FILES = {"config.json": b"{}", "weights.bin": bytes(range(256)) * 64}
USER, FS_GROUP = 65532, 4711


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user can reach, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def container(fetch: InitContainer, model: Model, open_to_all: Path) -> InitContainer:
    """The init container with a new claim, which belongs to root."""
    if os.geteuid():
        pytest.skip("only root can run programs as other users")
    model.write(FILES)
    image = install_image(open_to_all / "bin")
    (image / "s5cmd").unlink()
    shutil.copy(s5cmd(), image)
    logs = open_to_all / "logs"
    logs.mkdir()
    (open_to_all / "claim").mkdir(mode=0o755)
    return replace(fetch, destination=open_to_all / "claim" / "my-model-1.2.3", path=image, logs=logs)


def as_user(user: int, group: int) -> tuple[str, ...]:
    """The start of a command line that takes away what a container in a *restricted* namespace does not have."""
    options = (f"--reuid={user}", f"--regid={user}", f"--groups={group}", "--bounding-set=-all", "--inh-caps=-all")
    return (str(on_path("setpriv", "util-linux")), *options)


def run(container: InitContainer, user: int) -> str:
    """The outcome of the download as this user in the group FS_GROUP, in which kubelet starts every container."""
    (container.logs / "termination-0").touch()
    (container.logs / "termination-0").chmod(0o666)
    return container(inside=as_user(user, FS_GROUP)).reason


def test_a_user_other_than_root_cannot_write_to_it(container: InitContainer) -> None:
    assert run(container, USER) == "Incomplete"


def test_root_can_write_to_it_without_capabilities(container: InitContainer) -> None:
    assert run(container, 0) == "Complete"


def test_any_user_can_write_to_it_with_an_fs_group(container: InitContainer) -> None:
    claim = container.destination.parent
    os.chown(claim, 0, FS_GROUP)
    claim.chmod(0o2775)  # as kubelet does
    assert run(container, USER) == "Complete"
    assert Folder(container.destination).read() == FILES
