"""The wheel, as it is built and installed: what a checkout has beside it, nobody else has."""

import re
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.admission.conftest import asking
from tests.support.reviews import operations, review
from tests.support.webhook import running_webhook
from webhook import __version__

ROOT = Path(__file__).parents[2]
PACKAGES = ("certs", "webhook")


def pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True, timeout=600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.iterdir()
    return built


def test_it_has_both_packages_whole_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"model_injector-{__version__}.dist-info/")}
    files = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert names >= {"certs/py.typed", "webhook/py.typed", "webhook/fetching/fetch.sh", "webhook/fetching/errors.toml"}


def entries(lock: str) -> set[str]:
    """The packages of a lock, each with its version and its hashes."""
    return set(re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()))


def link(package: Distribution, folder: Path) -> None:
    """Put an installed package into a folder of packages, without copying it."""
    for name in {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}:
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(str(package.locate_file(name))))


def test_what_is_locked_for_use_is_what_is_locked_for_development() -> None:
    """scripts/setup has installed the latter, and pip has compared all hashes."""
    assert entries("requirements.lock") <= entries("requirements-dev.lock")


def test_with_the_locked_packages_it_serves_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    (packages,) = environment.glob("lib/*/site-packages")
    for entry in entries("requirements.lock"):
        locked = Requirement(entry.partition(" \\\n")[0])
        if not locked.marker or locked.marker.evaluate():
            package = distribution(locked.name)
            assert package.version in locked.specifier
            link(package, packages)
    pip("--python", environment, "install", "--no-compile", "--no-deps", "--no-index", wheel)
    pip("--python", environment, "check")  # nothing is missing
    with running_webhook(
        tmp_path,
        {"bucket": "my-ml-bucket"},
        env={"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        wrapper=("env", f"--chdir={elsewhere}"),
        program=(environment / "bin" / "model-injector",),
    ) as webhook:
        assert webhook.ops("/readyz").status_code == 200
        with webhook.client() as client:
            assert operations(client.post("/mutate", json=review(asking())).json())
    assert not list(elsewhere.iterdir())
