"""Keys that are no ordinary paths: S3 allows every name, and who can write to a bucket can choose it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fetching.conftest import Model
from tests.support.container import InitContainer
from tests.support.faults import Answer, Edit, Request
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.moto_s3 import MotoBucket
from tests.support.outcome import Outcome


def fetch_from(moto: MotoBucket, fetch: InitContainer) -> Outcome:
    return fetch(uri=f"s3://{moto.name}/models/m-1/*", env={"S3_ENDPOINT_URL": moto.url}, skip_pauses=True)


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


def test_a_key_that_is_a_file_and_a_folder_is_not_complete(fetch: InitContainer, moto: MotoBucket) -> None:
    moto.put("models/m-1/a", b"x")
    moto.put("models/m-1/a/b", b"x")
    assert fetch_from(moto, fetch).reason in {"Incomplete", "Unreachable"}


ODD = ["back\\slash", "  spaces  ", "a*b?c[d]", "-rf", "10  20", "$HOME", "'quote", '"quote"', "a;b|c&d>e", "e\u0301"]


@pytest.mark.parametrize("name", ODD)
def test_odd_characters_arrive(fetch: InitContainer, model: Model, volume: Folder, name: str) -> None:
    model.write({name: b"x"})
    assert fetch().reason == "Complete"
    assert volume.read() == {name: b"x"}


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
