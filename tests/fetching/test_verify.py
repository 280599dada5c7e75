"""What is checked after a download: number and sizes always, digests on demand."""

import hashlib
import re
import shutil
from dataclasses import replace

import pytest

from tests.fetching.conftest import Model
from tests.support.container import InitContainer
from tests.support.faults import Answer, Edit, Request, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder

FILES = {"config.json": b"{}", "weights/a b.bin": b"w" * 100_000, "weights/c.bin": b"c" * 10}


@pytest.fixture(autouse=True)
def files(model: Model) -> None:
    model.write(FILES)


def test_the_known_number_and_size_are_complete(fetch: InitContainer, model: Model, volume: Folder) -> None:
    assert fetch(known=model.known()).reason == "Complete"
    assert volume.read() == FILES


@pytest.mark.parametrize("known", ["4,100012", "2,100012", "3,100011", "3,100013"])
def test_another_number_or_size_than_was_admitted_is_incomplete(
    fetch: InitContainer, volume: Folder, known: str
) -> None:
    outcome = fetch(known=known)
    assert outcome.reason == "Incomplete"
    assert "3,100012" in outcome.message.message
    assert known in outcome.message.message
    assert not volume.names()


@pytest.mark.parametrize("answer", [Answer(200, b"<html>"), Answer(416, b"")], ids=["page", "range"])
def test_a_file_that_comes_with_another_size_is_incomplete(
    fetch: InitContainer, s3: FaultyProxy, answer: Answer
) -> None:
    s3.inject(answer, when=download_of("config.json"))
    outcome = fetch()
    assert outcome.reason == "Incomplete"
    assert "config.json" in outcome.message.message
    assert s3.count(download_of("config.json")) == 2


def test_a_file_that_s5cmd_does_not_see_is_asked_for_by_its_name(
    fetch: InitContainer, s3: FaultyProxy, volume: Folder
) -> None:
    config = re.compile(rb"<Contents>\s*<Key>[^<]*config.json</Key>.*?</Contents>", re.DOTALL)

    def without_config(answer: Answer) -> Answer:
        return replace(answer, body=config.sub(b"", answer.body))

    def is_of_the_download(request: Request) -> bool:
        return request.is_listing() and "of 3,100012 here" in fetch.runs[-1].log()

    s3.inject(Edit(without_config), when=is_of_the_download)
    assert fetch().reason == "Complete"
    assert volume.read() == FILES


def test_right_digests_are_complete(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write_sha256sums()
    assert fetch(verify="sha256", known=model.known()).reason == "Complete"
    assert volume.read() == model.read()


def test_a_manifest_written_last_needs_no_digest(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    model.write({"manifest.json": b"{}"})
    assert fetch(verify="sha256").reason == "Complete"


def test_a_manifest_that_has_a_digest_is_complete(fetch: InitContainer, model: Model, volume: Folder) -> None:
    model.write({"manifest.json": b"{}"})
    model.write_sha256sums()
    assert fetch(verify="sha256").reason == "Complete"
    assert volume.read() == model.read()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_digests_of_names_that_start_with_the_folder_itself_are_complete(fetch: InitContainer, model: Model) -> None:
    sums = "".join(f"{digest(content)}  ./{name}\n" for name, content in FILES.items())
    model.write({"SHA256SUMS": sums.encode()})
    assert fetch(verify="sha256").reason == "Complete"


def test_digests_of_binary_mode_are_complete(fetch: InitContainer, model: Model) -> None:
    sums = "".join(f"{digest(content)} *{name}\n" for name, content in FILES.items())
    model.write({"SHA256SUMS": sums.encode()})
    assert fetch(verify="sha256").reason == "Complete"


def test_digests_written_on_windows_are_complete(fetch: InitContainer, model: Model) -> None:
    sums = "".join(f"{digest(content).upper()} *{name}\r\n" for name, content in FILES.items())
    model.write({"SHA256SUMS": sums.encode()})
    assert fetch(verify="sha256").reason == "Complete"


def test_two_names_of_one_file_do_not_stand_for_two_files(fetch: InitContainer, model: Model) -> None:
    names = ("config.json", "./config.json", "weights/c.bin")
    sums = "".join(f"{digest(FILES[name.removeprefix('./')])}  {name}\n" for name in names)
    model.write({"SHA256SUMS": sums.encode()})
    outcome = fetch(verify="sha256")
    assert outcome.reason == "Corrupt"
    assert "weights/a b.bin" in outcome.message.message


@pytest.mark.parametrize("content", [b"right", b"wrong"])
@pytest.mark.parametrize("covered", [True, False])
def test_a_digest_of_a_file_outside_is_neither_coverage_nor_a_reason_to_touch_it(
    fetch: InitContainer, model: Model, volume: Folder, content: bytes, covered: bool
) -> None:
    outside = volume.path.parent / "outside"
    outside.write_bytes(b"right")
    if covered:
        model.write_sha256sums()
    sums = model.read().get("SHA256SUMS", f"{digest(FILES['config.json'])}  config.json\n".encode())
    names = ("../outside", "./../outside", str(outside))
    model.write({"SHA256SUMS": sums + "".join(f"{digest(content)}  {name}\n" for name in names).encode()})
    outcome = fetch(verify="sha256")
    assert outcome.reason == ("Complete" if covered else "Corrupt")
    assert "outside" not in outcome.message.message
    assert outside.read_bytes() == b"right"


def test_a_flipped_byte_in_the_bucket_is_corrupt(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    model.write({"weights/a b.bin": b"w" * 99_999 + b"v"})
    outcome = fetch(verify="sha256", known=model.known())
    assert outcome.reason == "Corrupt"
    assert "weights/a b.bin" in outcome.message.message
    assert "weights/c.bin" not in outcome.message.message


def downloads(s3: FaultyProxy) -> set[str]:
    """Which files of the model were fetched: the list of digests may be fetched anew with each of them."""
    names = {request.key.partition("my-model-1.2.3/")[2] for request in s3.requests if request.is_download()}
    return names - {"SHA256SUMS"}


def test_a_bucket_that_is_put_right_is_complete_in_the_next_container(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy
) -> None:
    model.write_sha256sums()
    model.write({"weights/a b.bin": b"w" * 99_999 + b"v"})
    assert fetch(verify="sha256", known=model.known()).reason == "Corrupt"
    model.write(FILES)
    s3.requests.clear()
    assert fetch(verify="sha256", known=model.known()).reason == "Complete"
    assert volume.read() == model.read()
    assert downloads(s3) == {"weights/a b.bin"}


def test_a_bucket_that_stays_wrong_stays_corrupt(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    model.write({"config.json": b"[]"})
    assert [fetch(verify="sha256", known=model.known()).reason for _ in range(3)] == ["Corrupt"] * 3


def test_a_byte_flipped_in_the_volume_is_mended_by_the_next_container_but_one(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy
) -> None:
    model.write_sha256sums()
    fetch(verify="sha256", known=model.known())
    volume.write({"weights/c.bin": b"c" * 9 + b"d"})
    s3.requests.clear()
    assert fetch(verify="sha256", known=model.known()).reason == "Corrupt"
    assert downloads(s3) == set()
    assert fetch(verify="sha256", known=model.known()).reason == "Complete"
    assert downloads(s3) == {"weights/c.bin"}
    assert volume.read() == model.read()


def test_digests_that_are_put_right_are_complete_in_the_next_container(
    fetch: InitContainer, model: Model, volume: Folder
) -> None:
    model.write({"config.json": b"[]"})
    model.write_sha256sums()
    model.write(FILES)
    assert fetch(verify="sha256", known=model.known()).reason == "Corrupt"
    (model.path / "SHA256SUMS").unlink()
    model.write_sha256sums()
    assert fetch(verify="sha256", known=model.known()).reason == "Complete"
    assert volume.read() == model.read()


def test_a_file_that_has_no_digest_is_corrupt(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    model.write({"added-later.bin": b"x"})
    outcome = fetch(verify="sha256")
    assert outcome.reason == "Corrupt"
    assert "SHA256SUMS" in outcome.message.message


def test_a_digest_of_a_file_that_is_not_there_is_corrupt(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    (model.path / "config.json").rename(model.path / "renamed.json")
    outcome = fetch(verify="sha256")
    assert outcome.reason == "Corrupt"


def test_one_digest_twice_does_not_stand_for_two_files(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    lines = (model.path / "SHA256SUMS").read_bytes().splitlines(keepends=True)
    model.write({"SHA256SUMS": lines[0] * 2 + lines[1]})
    assert fetch(verify="sha256").reason == "Corrupt"


def test_no_digests_at_all_are_corrupt(fetch: InitContainer) -> None:
    outcome = fetch(verify="sha256")
    assert outcome.reason == "Corrupt"
    assert "SHA256SUMS" in outcome.message.message


def test_digests_and_no_files_are_corrupt(fetch: InitContainer, model: Model) -> None:
    shutil.rmtree(model.path)
    model.write({"SHA256SUMS": b"", "manifest.json": b"{}"})
    outcome = fetch(verify="sha256")
    assert outcome.reason == "Corrupt"
    assert "retrying" not in outcome.log


def test_a_corrupt_file_with_a_nasty_name_is_named_in_json(fetch: InitContainer, model: Model) -> None:
    name = 'say "no" \\ für mich'
    model.write({name: b"x"})
    model.write_sha256sums()
    model.write({name: b"y"})
    assert fetch(verify="sha256").reason == "Corrupt"


def test_digests_are_not_asked_for_by_default(fetch: InitContainer, model: Model) -> None:
    model.write_sha256sums()
    model.write({"weights/c.bin": b"C" * 10})
    assert fetch(known=model.known()).reason == "Complete"


def test_without_verification_the_files_come_all_the_same(fetch: InitContainer, volume: Folder) -> None:
    assert fetch(verify="none").reason == "Complete"
    assert volume.read() == FILES
