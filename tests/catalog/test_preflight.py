"""What is wrong with a version, and what becomes of who asks for it."""

from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, Reader, published
from tests.support import moto_s3
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.store import Store
from webhook.catalog.resolution import Archived, Incomplete, NoAccess, UnknownModel, UnknownVersion, Unpublished


def archive(store: Store, bucket: MotoBucket, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w" * 1000, "GLACIER")


def lose_a_file(store: Store, _: MotoBucket, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    store.delete("my-model-1.2.3/weights.bin")


def add_a_file(store: Store, _: MotoBucket, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    store.write("my-model-1.2.3/more.bin", b"more")


def change_a_file(store: Store, _: MotoBucket, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    store.write("my-model-1.2.3/weights.bin", b"shorter")


def begin(store: Store, _: MotoBucket, __: Path) -> None:
    store.write(".publishing/my-model-1.2.3", b"{}")
    store.write("my-model-1.2.3/weights.bin", b"w")


PROBLEMS = [
    (archive, Archived, r"1 of 4 objects are archived, such as weights\.bin"),
    (lose_a_file, Incomplete, r"missing, changed or added: 1, such as weights\.bin"),
    (add_a_file, Incomplete, r"such as more\.bin"),
    (change_a_file, Incomplete, r"such as weights\.bin"),
    (begin, Unpublished, r"started and not finished"),
]


@pytest.mark.parametrize(("harm", "error", "message"), PROBLEMS)
def test_what_is_not_fit_is_refused_warned_of_or_let_through(
    store: Store, bucket: MotoBucket, read: Read, tmp_path: Path, harm: object, error: type[UnknownModel], message: str
) -> None:
    harm(store, bucket, tmp_path)  # type: ignore[operator]
    with pytest.raises(error, match=message) as found:
        read(preflight="enforce").resolve("1.2.3")
    assert type(found.value) is error
    warned = read(preflight="warn").resolve("1.2.3")
    assert warned.warnings == (str(found.value),)
    assert read(preflight="off").resolve("1.2.3").warnings == ()


def test_only_a_version_with_the_required_tag_counts(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.0.0", tags={"published": "true", "team": "ml"})
    published(store, tmp_path / "m", "1.1.0", tags={"published": "false"})
    published(store, tmp_path / "m", "1.2.0")
    reader = read(preflight="enforce", requiredTag="published=true")
    assert reader.version("latest") == reader.version("^1") == "1.0.0"
    for version in ("1.1.0", "1.2.0"):
        with pytest.raises(Unpublished, match="no manifest with the tag published=true"):
            reader.resolve(version)
    with pytest.raises(UnknownVersion, match=r"that is published; 1\.2\.0 is not"):
        reader.resolve(">1.0")
    assert read(requiredTag="published=true").resolve("1.1.0").warnings
    assert read(preflight="off", requiredTag="published=true").version("latest") == "1.2.0"


def test_a_webhook_that_may_not_read_says_what_to_allow(
    s3: str, bucket: MotoBucket, monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy
) -> None:
    nobody = moto_s3.make_user(s3, "s3:PutObject")
    reader = Reader(bucket, proxy, preflight="enforce")
    for name, value in nobody.items():
        monkeypatch.setenv(name, str(value))
    with moto_s3.checking_permissions():
        denied = Reader.__new__(Reader)
        denied.settings = reader.settings
        denied.catalog = type(reader.catalog)(reader.settings, seconds=1, attempts=1)
        with pytest.raises(NoAccess, match=r"AccessDenied.*allow s3:ListBucket and s3:GetObject"):
            denied.resolve("1.2.3")
        with pytest.raises(CatalogError, match="AccessDenied"):
            denied.refresh()


def test_a_manifest_that_is_none_is_refused_and_leaves_the_rest_as_it_is(
    store: Store, read: Read, tmp_path: Path
) -> None:
    """Other tools write files of that name, too."""
    published(store, tmp_path / "m", "1.2.3")
    store.write("other-1.0.0/manifest.json", b'{"no": 1}')
    reader = read(preflight="enforce")
    with pytest.raises(
        Incomplete, match=r"other 1\.0\.0 cannot be checked: manifest\.json is not a manifest of model-injector"
    ):
        reader.resolve("1.0.0", "other")
    with pytest.raises(UnknownModel):
        reader.resolve("1.0.0", "unknown")
    assert read(preflight="warn").resolve("1.0.0", "other").warnings


def test_a_manifest_of_another_version_is_refused(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    for each in list(store.objects("my-model-1.2.3/")):
        store.write(f"my-model-9.9.9/{each.key}", store.read(f"my-model-1.2.3/{each.key}", 10**6).body)
    with pytest.raises(Incomplete, match=r"describes my-model-1\.2\.3"):
        read(preflight="enforce").resolve("9.9.9")


def test_a_folder_of_more_objects_than_a_volume_should_hold_is_not_sized(
    bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.bucket.status._MOST_OBJECTS", 3)
    for number in range(4):
        bucket.put(f"{PREFIX}/my-model-1.2.3/{number}", b"w")
    with pytest.raises(Incomplete, match="3 objects or more"):
        read(preflight="enforce").resolve("1.2.3")
