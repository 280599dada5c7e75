import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetching.conftest import Model
from tests.support import mounts
from tests.support.container import NO_RETRY, InitContainer
from tests.support.faults import Answer, Request
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder

FILES = {
    "config.json": b'{"a": 1}',
    "empty": b"",
    "weights/part-00001.safetensors": bytes(range(256)) * 5000,
    "weights/deep/er/still.bin": b"x" * 70_000,
    "with spaces/a file  with two.txt": b"spaces",
    "日本語/modèle-ünïcode.bin": b"unicode",
    'odd/it\'s "quoted" & $HOME `date` #1 \\n [x]{y}.txt': b"odd",
}
NO_ANSWER = {"S3_ENDPOINT_URL": "http://127.0.0.1:1"}


def test_a_tree_of_files_arrives_as_it_is(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write(FILES)
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


def test_the_termination_message_says_what_arrived(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write(FILES)
    message = fetch().message
    assert f"{message.files},{message.bytes}" == model.known()
    assert message.message == str(volume.path)


def test_the_number_of_seconds_is_that_of_the_whole_run(fetch: InitContainer) -> None:
    outcome = fetch(limit=2, flags=NO_RETRY, env=NO_ANSWER)
    assert 1 <= outcome.message.seconds <= outcome.seconds + 1


def test_a_prefix_that_starts_like_another_one_does_not_fetch_it(
    fetch: InitContainer, model: Model, volume: Folder
) -> None:
    model.write({"a": b"wanted"})
    Folder(model.path.parent / "my-model-1.2.30").write({"b": b"another version"})
    Folder(model.path.parent).write({"my-model-1.2.3.txt": b"beside"})
    assert fetch().reason == "Complete"
    assert volume.read() == {"a": b"wanted"}


def test_files_that_are_there_and_known_are_complete_while_s3_is_unreachable(
    fetch: InitContainer, model: Model, s3: FaultyProxy
) -> None:
    model.write(FILES)
    fetch()
    s3.requests.clear()
    assert fetch(known=model.known(), env=NO_ANSWER).reason == "Complete"
    assert fetch(known=model.known()).reason == "Complete"
    assert s3.requests == []


def test_files_that_are_there_are_not_downloaded_again(fetch: InitContainer, model: Model, s3: FaultyProxy) -> None:
    model.write(FILES)
    fetch()
    s3.requests.clear()
    assert fetch().reason == "Complete"
    assert s3.requests
    assert s3.count(Request.is_listing) == len(s3.requests)


def test_a_file_of_another_size_is_downloaded_again(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write(FILES)
    volume.write({"config.json": b"of another version"})
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


@pytest.mark.parametrize("known", [True, False])
def test_files_of_the_users_own_stay(fetch: InitContainer, model: Model, volume: Folder, known: bool) -> None:
    model.write(FILES)
    own = {"notes.txt": b"mine", "notes1": b"mine", "notes12": b"mine", "notes123": b"mine", "deep/config.json7": b"x"}
    volume.write(own)
    assert fetch(known=model.known() if known else "-").reason == "Complete"
    assert volume.read() == FILES | own


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
@pytest.mark.parametrize(("mode", "bits"), [("a+rX", 0o444), ("a+rwX", 0o666)])
def test_every_user_of_the_pod_can_use_the_files(fetch: InitContainer, model: Model, mode: str, bits: int) -> None:
    model.write({"folder/file": b"x"})
    assert fetch(mode=mode).reason == "Complete"
    file = fetch.destination / "folder" / "file"
    assert file.stat().st_mode & 0o777 == 0o600 | bits
    assert file.parent.stat().st_mode & 0o777 == 0o711 | bits
    assert fetch.destination.stat().st_mode & 0o777 == 0o711 | bits


def test_a_read_only_root_file_system_is_enough(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write(FILES)
    model.write_sha256sums()
    assert fetch(verify="sha256", inside=mounts.read_only_root(volume.path.parent, fetch.logs)).reason == "Complete"
    assert volume.read() == model.read()


SHM = Path("/dev/shm")  # noqa: S108 - that is where the script works


@pytest.mark.parametrize("options", ["size=1m", "ro"])
def test_little_or_no_shared_memory_is_enough(fetch: InitContainer, model: Model, volume: Folder, options: str) -> None:
    model.write({"a": b"x", "b/c": b"y"})
    model.write_sha256sums()
    assert fetch(verify="sha256", inside=mounts.tmpfs(SHM, options)).reason == "Complete"
    assert volume.read() == model.read()
    model.write({"added-later": b"x"})
    assert fetch(verify="sha256", inside=mounts.tmpfs(SHM, options)).reason == "Corrupt"
    assert list(volume.path.parent.iterdir()) == [volume.path]


def test_a_listing_that_shared_memory_cannot_hold_is_out_of_space(fetch: InitContainer, s3: FaultyProxy) -> None:
    entry = "<Contents><Key>model-artifacts/my-model-1.2.3/{:06}{}</Key><Size>1</Size></Contents>"
    entries = "".join(entry.format(number, "x" * 200) for number in range(25_000))
    s3.inject(Answer(200, f"<R>{entries}</R>".encode()), when=Request.is_listing)
    outcome = fetch(inside=mounts.tmpfs(SHM, "size=5m"))
    assert outcome.reason == "OutOfSpace"
    assert str(SHM) in outcome.message.message


def test_an_empty_folder_of_the_bucket_is_not_found(fetch: InitContainer) -> None:
    assert fetch().reason == "NotFound"
