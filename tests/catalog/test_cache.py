"""What the catalog caches, for how long, and what it looks up again."""

import time
from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, aliased, published
from tests.support.faults import SLOW_DOWN
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.store import Store
from webhook.catalog.resolution import Archived, LookupRequired, UnknownModel, UnknownVersion, VersionKey


def test_a_published_version_is_looked_up_once(store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read()
    reader.resolve("latest")
    proxy.requests.clear()
    for version in ("latest", "1.2.3", "^1.2"):
        reader.resolve(version)
    assert proxy.requests == []
    assert list(reader.catalog.stale("default", 10)) == []


def test_a_version_that_may_change_is_looked_up_again_while_it_is_used(bucket: MotoBucket, read: Read) -> None:
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    reader = read()
    assert reader.resolve("1.2.3").artifact.bytes == 1
    key = VersionKey("default", "my-model", "1.2.3")
    reader.resolve("1.2.3")
    assert list(reader.catalog.stale("default", 10)) == [key]
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"www")
    reader.catalog.cache(key, reader.catalog.look_up(key))
    assert list(reader.catalog.stale("default", 10)) == []
    assert reader.resolve("1.2.3").artifact.bytes == 3


def test_a_missing_version_is_cached_for_seconds_only(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = read(preflight="enforce")
    with pytest.raises(UnknownModel):
        reader.resolve("1.2.3")
    proxy.requests.clear()
    with pytest.raises(UnknownModel):
        reader.resolve("1.2.3")
    assert proxy.requests == []
    published(store, tmp_path / "m", "1.2.3")
    monkeypatch.setattr("webhook.catalog.lookup.s3._TEMPORARY_SECONDS", 0)
    assert reader.version("1.2.3") == "1.2.3"


def test_the_cache_of_missing_versions_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.catalog.lookup.s3._MOST_TEMPORARY", 5)
    reader = read()
    for number in range(20):
        reader.resolve(f"1.{number}.0")
    assert len(reader.catalog._temporary) == 5


def test_a_version_that_is_not_cached_requires_a_lookup(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read()
    with pytest.raises(LookupRequired) as required:
        reader.catalog.resolve(reader.request("latest"))
    assert required.value.keys == (VersionKey("default", "my-model", "1.2.3"),)


def test_a_version_that_is_gone_from_the_bucket_is_gone(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    published(store, tmp_path / "m", "1.3.0")
    aliased(store, "my-model", champion="1.2.3")
    reader = read(preflight="enforce")
    assert reader.version("@champion") == "1.2.3"
    for each in list(store.objects("my-model-1.2.3/")):
        store.delete(f"my-model-1.2.3/{each.key}")
    reader.refresh()
    for version in ("1.2.3", "@champion"):
        with pytest.raises(UnknownVersion):
            reader.resolve(version)


def test_a_version_that_was_idle_and_may_have_changed_requires_a_lookup(
    bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy
) -> None:
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    reader = read()
    assert reader.resolve("1.2.3").artifact.bytes == 1
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"www")
    monkeypatch.setattr(reader.catalog, "_idle_seconds", 0)
    with pytest.raises(LookupRequired):
        reader.catalog.resolve(reader.request("1.2.3"))
    proxy.inject(SLOW_DOWN, lambda _: True)
    reader.catalog.listing_failed("default", "unreachable")
    assert reader.catalog.resolve(reader.request("1.2.3")).artifact.bytes == 1


def test_a_second_lookup_reads_no_manifest_again_and_sees_changed_objects(
    store: Store, proxy: FaultyProxy, bucket: MotoBucket, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3", tags={"published": "true"})
    reader = read(preflight="enforce", requiredTag="published=true")
    first = reader.resolve("1.2.3").artifact
    key = VersionKey("default", "my-model", "1.2.3")
    proxy.requests.clear()
    reader.catalog.cache(key, reader.catalog.look_up(key))
    assert reader.resolve("1.2.3").artifact == first
    assert not [request for request in proxy.requests if request.is_download() and "tagging" not in request.target]
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w" * 1000, "DEEP_ARCHIVE")
    reader.catalog.cache(key, reader.catalog.look_up(key))
    with pytest.raises(Archived):
        reader.resolve("1.2.3")


def test_a_published_version_is_looked_up_again_after_an_hour_because_its_objects_may_change(
    store: Store, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read()
    reader.resolve("1.2.3")
    reader.resolve("1.2.3")
    assert list(reader.catalog.stale("default", 10)) == []
    now = time.monotonic()
    monkeypatch.setattr("webhook.catalog.lookup.s3.monotonic", lambda: now + 3601)
    assert list(reader.catalog.stale("default", 10)) == [VersionKey("default", "my-model", "1.2.3")]


def test_repeated_lookups_are_bounded_and_the_longest_waiting_version_comes_first(
    bucket: MotoBucket, read: Read
) -> None:
    for number in range(5):
        bucket.put(f"{PREFIX}/my-model-1.{number}.0/weights.bin", b"w")
    reader = read()
    for _ in range(2):
        for number in (3, 1, 4, 0, 2):
            reader.resolve(f"1.{number}.0")
    assert [key.version for key in reader.catalog.stale("default", 3)] == ["1.3.0", "1.1.0", "1.4.0"]


def test_known_versions_are_bounded_and_the_oldest_goes(
    bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.lookup.s3._MOST_VERSIONS", 2)
    for number in range(3):
        bucket.put(f"{PREFIX}/my-model-1.{number}.0/weights.bin", b"w")
    reader = read()
    for number in range(3):
        reader.resolve(f"1.{number}.0")
    reader.catalog.resolve(reader.request("1.2.0"))
    with pytest.raises(LookupRequired):
        reader.catalog.resolve(reader.request("1.0.0"))
