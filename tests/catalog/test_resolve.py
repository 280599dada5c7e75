"""What is answered for a request, from what is known."""

from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, folder_of, published
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.manifest import digest
from webhook.catalog.bucket.store import Store
from webhook.catalog.resolution import UnknownModel, UnknownVersion


def test_a_published_version_comes_with_its_size_and_digest(store: Store, read: Read, tmp_path: Path) -> None:
    manifest = published(store, folder_of(tmp_path / "m", a_bin=b"a" * 10, b__c_bin=b"b" * 20), "1.2.3")
    resolved = read(preflight="enforce").resolve("1.2.3")
    artifact = resolved.artifact
    assert (artifact.files, artifact.bytes, artifact.digest) == (2, 30, digest(manifest.encode()))
    stored = list(store.objects("my-model-1.2.3/"))
    assert (artifact.objects, artifact.object_bytes) == (len(stored), sum(each.size for each in stored))
    assert resolved.warnings == ()


def test_a_bucket_that_someone_filled_by_hand_has_ranges_and_sizes(bucket: MotoBucket, read: Read) -> None:
    for version in ("1.2.0", "1.10.0", "2.0.0-rc.1"):
        bucket.put(f"{PREFIX}/my-model-{version}/weights.bin", b"w" * 100)
        bucket.put(f"{PREFIX}/my-model-{version}/deep/er/config.json", b"{}")
    reader = read(preflight="enforce")
    artifact = reader.resolve("^1.2").artifact
    assert (artifact.version, artifact.files, artifact.bytes, artifact.digest) == ("1.10.0", 2, 102, None)
    assert artifact.objects is None
    assert artifact.object_bytes == 102
    assert reader.version("latest") == "1.10.0"


@pytest.mark.parametrize(
    ("model", "version", "error", "message"),
    [
        ("my-modl", "1.2.3", UnknownModel, "model my-modl 1.2.3 is not in source default; did you mean my-model?"),
        ("my-modl", "^1.2", UnknownModel, "model my-modl is not in source default; did you mean my-model?"),
        ("nothing-like-it", "1", UnknownModel, "model nothing-like-it 1 is not in source default"),
        ("my-model", "1.2.4", UnknownVersion, "has no version 1.2.4 .* nearest are 1.2.3.*; newest is 1.2.3"),
        ("my-model", "^3", UnknownVersion, r"no version in '\^3'; the newest are 2.0.0-rc.1, 1.2.3"),
        ("my-model", "@champion", UnknownVersion, "no alias @champion; it has no aliases"),
        ("my-model", ">>1", UnknownVersion, "is invalid: a range is such as"),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest_that_is(
    store: Store, read: Read, tmp_path: Path, model: str, version: str, error: type[UnknownModel], message: str
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    published(store, tmp_path / "m", "2.0.0-rc.1")
    with pytest.raises(error, match=message) as found:
        read(preflight="enforce").resolve(version, model)
    assert type(found.value) is error


def test_latest_of_nothing_but_pre_releases_says_what_to_write(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "2.0.0-rc.1")
    with pytest.raises(UnknownVersion, match=r"which excludes pre-releases.*2\.0\.0-rc\.1"):
        read().resolve("latest")


def test_of_a_range_only_the_newest_twenty_are_tried(store: Store, proxy: FaultyProxy, read: Read) -> None:
    for number in range(25):
        store.write(f".publishing/my-model-1.{number}.0", b"")
        store.write(f"my-model-1.{number}.0/weights.bin", b"w")
    reader = read(preflight="enforce")
    with pytest.raises(UnknownVersion, match=r"that is published; 1\.24\.0 is not"):
        reader.resolve("latest")
    assert proxy.count(lambda request: "my-model-1.4.0/" in request.query.get("prefix", "")) == 0
    assert proxy.count(lambda request: "my-model-1.5.0/" in request.query.get("prefix", "")) == 1
