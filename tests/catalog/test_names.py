"""What a listing tells of models and versions."""

import pytest

from tests.catalog.conftest import PREFIX, Read
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.folders import split
from webhook.catalog.bucket.listing import read_names
from webhook.catalog.bucket.store import Store

FOLDERS = {
    "my-model-1.2.3": ("my-model", "1.2.3"),
    "my-model-1.2.3-rc.1": ("my-model", "1.2.3-rc.1"),
    "my-model-1.2.3+build.5": ("my-model", "1.2.3+build.5"),
    "llama-3-8b-1.0.0": ("llama-3-8b", "1.0.0"),
    "qwen-2.5.1-7b-1.0.0": ("qwen-2.5.1-7b", "1.0.0"),
    "bert-2026-05-01": ("bert", "2026-05-01"),
    "resnet-50-v2": ("resnet-50", "v2"),
    "my-org/ranker-7": ("my-org/ranker", "7"),
    "a.b_c-1.0": ("a.b_c", "1.0"),
    "my-model-blue": None,
    "my-model": None,
    "-1.0": None,
}


@pytest.mark.parametrize(("folder", "found"), FOLDERS.items())
def test_a_folders_name_says_model_and_version(folder: str, found: tuple[str, str] | None) -> None:
    assert split("{model}-{version}", folder) == found


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("my-model/1.2.3", ("my-model", "1.2.3")),
        ("my-org/my-model/v7", ("my-org/my-model", "v7")),
        ("my-model/blue", None),
        ("1.2.3", None),
    ],
)
def test_in_the_other_layout_the_last_folder_is_the_version(folder: str, found: tuple[str, str] | None) -> None:
    assert split("{model}/{version}", folder) == found


def test_models_are_found_whoever_put_them_there(bucket: MotoBucket, read: Read) -> None:
    for folder in FOLDERS:
        bucket.put(f"{PREFIX}/{folder}/weights.bin", b"x")
    bucket.put("elsewhere/other-1.0/weights.bin", b"x")
    bucket.put(f"{PREFIX}/loose.bin", b"x")
    names = read().catalog.listing("default")
    assert names
    assert {model: tuple(versions.newest()) for model, versions in names.models.items()} == {
        "a.b_c": ("1.0",),
        "bert": ("2026-05-01",),
        "llama-3-8b": ("1.0.0",),
        "my-model": ("1.2.3+build.5", "1.2.3", "1.2.3-rc.1"),
        "my-org/ranker": ("7",),
        "qwen-2.5.1-7b": ("1.0.0",),
        "resnet-50": ("v2",),
    }


def test_the_other_layout_is_listed_as_deep_as_models_names_go(bucket: MotoBucket, read: Read) -> None:
    for folder in ("my-model/1.2.3", "my-model/1.10.0", "my-org/team/ranker/7", "my-model/docs"):
        bucket.put(f"{PREFIX}/{folder}/weights.bin", b"x")
    reader = read(layout="{model}/{version}")
    assert reader.version("latest") == "1.10.0"
    assert reader.version("latest", "my-org/team/ranker") == "7"


def test_a_thousand_versions_cost_one_request_each_time(bucket: MotoBucket, proxy: FaultyProxy, read: Read) -> None:
    for number in range(1500):
        bucket.put(f"{PREFIX}/my-model-1.{number}.0/weights.bin", b"x")
    reader = read()
    assert reader.version("latest") == "1.1499.0"
    proxy.requests.clear()
    reader.refresh()
    assert reader.version("latest") == "1.1499.0"
    listings = [request.query["prefix"].removeprefix(f"{PREFIX}/") for request in proxy.requests]
    assert sorted(listings) == ["", "", ".aliases/", ".images/", ".publishing/", ".withdrawn/"]


def test_what_is_too_much_is_left_out_and_told(bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        bucket.put(f"{PREFIX}/my-model-1.{number}.0/weights.bin", b"x")
    monkeypatch.setattr("webhook.catalog.bucket.listing.MOST_VERSIONS", 10)
    reader = read(preflight="enforce")
    status = reader.catalog.status("default")
    assert status.versions == 10
    assert "more than 10 versions" in status.problem
    assert reader.version("1.19.0") == "1.19.0"


@pytest.mark.parametrize(
    ("key", "limit", "known", "problem"),
    [
        (".publishing/my-model-1.{}.0", "MOST_VERSIONS", "unfinished", "more than 3 unfinished uploads"),
        (".aliases/model-{}.json", "_MOST_MODELS", "aliases", "more than 3 objects in {uri}/.aliases/"),
    ],
)
def test_what_is_too_much_beside_the_versions_is_left_out_and_told(
    bucket: MotoBucket, store: Store, monkeypatch: pytest.MonkeyPatch, key: str, limit: str, known: str, problem: str
) -> None:
    for number in range(4):
        bucket.put(f"{PREFIX}/{key.format(number)}", b'{"stable": "1.0.0"}')
    monkeypatch.setattr(f"webhook.catalog.bucket.listing.{limit}", 4)
    listing = read_names(store)
    assert (len(getattr(listing, known)), listing.problems) == (4, ())
    monkeypatch.setattr(f"webhook.catalog.bucket.listing.{limit}", 3)
    listing = read_names(store)
    assert len(getattr(listing, known)) == 3
    assert listing.problems == (f"{problem.format(uri=store.uri('').rstrip('/'))}; the others are not known",)
    assert listing.is_complete


def test_folders_that_are_no_versions_are_looked_into_within_bounds(
    bucket: MotoBucket, read: Read, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.bucket.listing._MOST_LISTINGS", 8)
    bucket.put(f"{PREFIX}/my-org/nice-1.0.0/weights.bin", b"x")
    for number in range(20):
        bucket.put(f"{PREFIX}/zz-datasets/junk{number}/a/b/data.bin", b"x")
    reader = read()
    assert reader.version("latest", "my-org/nice") == "1.0.0"
    assert "more than 8 parent folders" in reader.catalog.status("default").problem
    proxy.requests.clear()
    reader.refresh()
    assert proxy.count(lambda request: request.is_listing()) <= 8 + 4


def test_names_are_not_followed_deeper_than_anyone_would_name_a_model(bucket: MotoBucket, read: Read) -> None:
    bucket.put(f"{PREFIX}/a/b/c/d/model-1.0.0/weights.bin", b"x")
    bucket.put(f"{PREFIX}/a/b/c/d/e/model-1.0.0/weights.bin", b"x")
    names = read().catalog.listing("default")
    assert names
    assert set(names.models) == {"a/b/c/d/model"}
