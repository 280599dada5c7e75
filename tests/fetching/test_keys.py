"""Keys that are no ordinary paths: S3 allows every name, and who can write to a bucket can choose it."""

import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fetching.conftest import Model
from tests.support.container import InitContainer
from tests.support.faults import Answer, Edit, Request, Stall
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.moto_s3 import MotoBucket
from tests.support.outcome import Outcome
from tests.support.polling import until
from webhook.fields.types import Verification


def fetch_from(moto: MotoBucket, fetch: InitContainer, verify: Verification = "size") -> Outcome:
    env = {"S3_ENDPOINT_URL": moto.url}
    return fetch(uri=f"s3://{moto.name}/models/m-1/*", verify=verify, env=env, skip_pauses=True)


@pytest.mark.parametrize("key", ["../evil", "../../evil", "a/../../evil", "a/..", "..", "a/../evil"])
def test_a_key_that_climbs_out_of_the_folder_is_refused(
    fetch: InitContainer, moto: MotoBucket, volume: Folder, tmp_path: Path, key: str
) -> None:
    moto.put("models/m-1/good", b"x")
    moto.put(f"models/m-1/{key}", b"evil")
    outcome = fetch_from(moto, fetch)
    assert outcome.reason == "Corrupt"
    assert ".." in outcome.message.message
    assert not list(tmp_path.rglob("evil"))
    assert not volume.names()


@pytest.mark.parametrize("key", ["/etc/passwd", "//etc/passwd", "a//b"])
def test_a_key_with_an_empty_folder_name_stays_inside(
    fetch: InitContainer, moto: MotoBucket, volume: Folder, key: str
) -> None:
    moto.put("models/m-1/good", b"x")
    moto.put(f"models/m-1/{key}", b"evil")
    before = Path("/etc/passwd").read_bytes()
    fetch_from(moto, fetch)
    assert Path("/etc/passwd").read_bytes() == before
    assert volume.names() <= {"good", "etc/passwd", "a/b"}


def test_names_with_dots_are_no_climbing(fetch: InitContainer, moto: MotoBucket, volume: Folder) -> None:
    names = {"...", "a..b", "..a/b..", ".hidden", "a/...b"}
    for name in names:
        moto.put(f"models/m-1/{name}", b"x")
    assert fetch_from(moto, fetch).reason == "Complete"
    assert volume.names() == names


def test_directory_markers_are_no_files(fetch: InitContainer, moto: MotoBucket, volume: Folder) -> None:
    for key in ("", "empty/", "weights/", "weights/a.bin"):
        moto.put(f"models/m-1/{key}", b"x" if key.endswith("bin") else b"")
    outcome = fetch_from(moto, fetch)
    assert outcome.reason == "Complete"
    assert outcome.message.files == 1
    assert volume.names() == {"weights/a.bin"}


def test_a_prefix_of_directory_markers_only_is_not_found(fetch: InitContainer, moto: MotoBucket) -> None:
    moto.put("models/m-1/", b"")
    assert fetch_from(moto, fetch).reason == "NotFound"


IMPOSSIBLE = [["a", "a/b"], ["a//b"], ["a/b", "a//b"], ["/a"], ["a/./b"], ["x" * 256], ["x" * 256 + "/a"]]


@pytest.mark.parametrize("names", IMPOSSIBLE)
def test_a_key_that_no_file_can_have_is_incomplete_and_named(
    fetch: InitContainer, moto: MotoBucket, names: list[str]
) -> None:
    for name in ("good", *names):
        moto.put(f"models/m-1/{name}", b"x")
    outcome = fetch_from(moto, fetch)
    assert outcome.reason == "Incomplete"
    assert names[-1].partition("/")[0] in outcome.message.message
    assert "retrying" not in outcome.log


PUNCTUATION = (*"+=%#&;:'[](){}<>|!~^@,*?\\\"`-", "$HOME", "%2F", "-rf", "--help", "...", ".hidden", "x.123", "10__20")
ODD = {
    *PUNCTUATION,
    *(f"a{name}b/c{name}d" for name in PUNCTUATION),
    "  spaces  ",
    "10  20",
    "a\tb",
    "モデル/вес-é-e\u0301-ü",
    "emoji \N{PILE OF POO}\u2028\x7f",
}
LONG = {
    "x" * 245,
    "x" * 246,
    "x" * 250,
    "é" * 127,
    "folder/" + "y" * 255,
    "z" * 255 + "/" + "z" * 255,
    "-, *?[]\\\"'" * 25,
    " " * 250,
}


@pytest.mark.parametrize("names", [ODD, LONG, ODD | LONG], ids=["odd", "long", "both"])
def test_every_name_that_a_file_can_have_arrives(
    fetch: InitContainer, moto: MotoBucket, volume: Folder, names: set[str]
) -> None:
    files = {name: name.encode() for name in names}
    sums = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    files["SHA256SUMS"] = sums.encode()
    for name, content in files.items():
        moto.put(f"models/m-1/{name}", content)
    outcome = fetch_from(moto, fetch, verify="sha256")
    assert outcome.reason == "Complete", outcome.log
    assert volume.read() == files


def test_names_with_a_backslash_are_checked_as_sha256sum_writes_them(
    fetch: InitContainer, model: Model, volume: Folder
) -> None:
    names = {"a\\b", "a\\\\nb", "\\", "plain"}
    model.write({name: name.encode() for name in names})
    sums = subprocess.run(["/usr/bin/sha256sum", *names], cwd=model.path, capture_output=True, check=True).stdout
    assert sums.count(b"\n\\") + sums.startswith(b"\\") == 3
    model.write({"SHA256SUMS": sums})
    assert fetch(verify="sha256").reason == "Complete"
    volume.write({"a\\b": b"b\\a"})
    assert fetch(verify="sha256").reason == "Corrupt"


@pytest.mark.parametrize("name", ["x" * 250, "x*z"])
def test_a_name_without_room_for_digits_at_its_end_is_downloaded_once_and_a_torn_one_is_removed(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, name: str
) -> None:
    model.write({name: b"xy"})
    s3.inject(Stall(after=1), when=Request.is_download)
    run = fetch.start()
    until(volume.names)
    run.kill()
    (torn,) = volume.names()
    assert torn[-1].isdigit()
    s3.heal()
    assert fetch(known=model.known()).reason == "Complete"
    assert volume.read() == model.read()
    s3.requests.clear()
    assert fetch().reason == "Complete"
    assert not s3.count(Request.is_download)


def test_odd_names_that_are_missing_from_a_volume_arrive(
    fetch: InitContainer, moto: MotoBucket, volume: Folder
) -> None:
    files = {name: name.encode() for name in ODD}
    for name, content in files.items():
        moto.put(f"it's (a) prefix!/m-1/{name}", content)
    volume.write({"x.123": b"x.123", "%2F": b"torn"})
    env = {"S3_ENDPOINT_URL": moto.url}
    assert fetch(uri=f"s3://{moto.name}/it's (a) prefix!/m-1/*", env=env).reason == "Complete"
    assert volume.read() == files


def test_a_control_character_that_s5cmd_cannot_list_ends_it_at_once(fetch: InitContainer, moto: MotoBucket) -> None:
    moto.put("models/m-1/a\x01b", b"x")
    outcome = fetch_from(moto, fetch)
    assert outcome.reason == "Incomplete"
    assert "U+0001" in outcome.message.message


@pytest.mark.parametrize("name", ["two\nlines", "two\n/../../evil", "a\n2026/01/01 00:00:00                 1  b"])
def test_a_line_break_in_a_key_hides_nothing(
    fetch: InitContainer, model: Model, volume: Folder, s3: FaultyProxy, name: str
) -> None:
    def renamed(answer: Answer) -> Answer:
        return replace(answer, body=answer.body.replace(b"renamed", name.replace("\n", "&#xA;").encode()))

    model.write({"good": b"x", "renamed": b"x"})
    s3.inject(Edit(renamed), when=Request.is_listing)
    s3.inject(Answer(200, b"x"), when=lambda request: "\n" in request.key)
    outcome = fetch()
    assert list(volume.path.parent.iterdir()) == [volume.path]
    assert outcome.reason in {"Incomplete", "Corrupt"} or volume.names() == {"good", name}
