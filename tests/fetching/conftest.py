"""One init container at a time, with the real s5cmd, before real S3 servers on loopback."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import moto_s3, mounts, programs, rclone
from tests.support.container import InitContainer
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder


@dataclass(frozen=True)
class Store:
    """A server of S3 over a folder."""

    root: Path
    url: str


@dataclass(frozen=True)
class Model(Folder):
    """A model's folder in a bucket of its own; `bucket` is the whole."""

    bucket: str
    uri: str


def own(shm: Folder) -> tuple[str, ...]:
    """A command line to run a container in, where this is /dev/shm."""
    return mounts.bind(shm.path, Path("/dev/shm"))  # noqa: S108 - that is where the script works


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.install_image(tmp_path_factory.mktemp("image") / "bin")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    root = folder / "buckets"
    root.mkdir()
    with rclone.serve(root, folder / "log") as url:
        yield Store(root, url)


@pytest.fixture
def s3(store: Store) -> Iterator[FaultyProxy]:
    """The endpoint that containers are given: rclone, behind a proxy that counts."""
    with FaultyProxy(store.url) as proxy:
        yield proxy


@pytest.fixture
def model(store: Store) -> Model:
    bucket = f"models-{uuid4().hex}"
    path = store.root / bucket / "model-artifacts" / "my-model-1.2.3"
    path.mkdir(parents=True)
    return Model(path, bucket, f"s3://{bucket}/model-artifacts/my-model-1.2.3/*")


@pytest.fixture
def volume(tmp_path: Path) -> Folder:
    """The model's folder in the pod."""
    return Folder(tmp_path / "volume" / "my-model-1.2.3")


@pytest.fixture
def fetch(image: Path, s3: FaultyProxy, model: Model, volume: Folder, tmp_path: Path) -> Iterator[InitContainer]:
    """Runs fetch.sh for `model` into `volume`."""
    logs = tmp_path / "logs"
    logs.mkdir()
    volume.path.parent.mkdir()
    env = {
        "S3_ENDPOINT_URL": s3.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": rclone.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": rclone.SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    container = InitContainer(model.uri, volume.path, image, env, logs)
    yield container
    container.close()


@pytest.fixture
def shm(tmp_path: Path) -> Folder:
    """A /dev/shm for one container, as each has it: to run `inside=own(shm)`."""
    folder = Folder(tmp_path / "shm")
    folder.path.mkdir()
    return folder


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def moto(moto_url: str) -> moto_s3.MotoBucket:
    return moto_s3.make_bucket(moto_url)
