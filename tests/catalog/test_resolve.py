"""What is answered for a request, from what is known."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, Reader, aliased, folder_of, published
from tests.support import moto_s3
from tests.support.faults import ACCESS_DENIED, SLOW_DOWN, Answer, Cut, Drop, Fault, Stall
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog import Place, Unread
from webhook.catalog.manifest import digest
from webhook.catalog.store import Store
from webhook.errors import (
    Archived,
    Away,
    CatalogError,
    Incomplete,
    NoAccess,
    UnknownModel,
    UnknownVersion,
    Unpublished,
)
from webhook.settings import Source


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
        ("my-model", "@champion", UnknownVersion, "no alias @champion, and no other"),
        ("my-model", ">>1", UnknownVersion, "is no version: a range is such as"),
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
    with pytest.raises(UnknownVersion, match=r"pre-releases only where they are named.*2\.0\.0-rc\.1"):
        read().resolve("latest")


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
    (lose_a_file, Incomplete, r"1 of its objects .* such as weights\.bin"),
    (add_a_file, Incomplete, r"such as more\.bin"),
    (change_a_file, Incomplete, r"such as weights\.bin"),
    (begin, Unpublished, r"begun and not finished"),
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


AWAY: list[Fault] = [Drop(), SLOW_DOWN, Answer(500, b""), Answer(200, b"<not xml"), Stall(), Cut(10)]


@pytest.mark.parametrize("fault", AWAY)
@pytest.mark.parametrize("preflight", ["off", "warn", "enforce"])
def test_s3_away_stops_nobody_who_asks_for_an_exact_version(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path, fault: Fault, preflight: str
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    reader = read(preflight=preflight)
    assert reader.resolve("@champion").artifact.files == 2
    proxy.inject(fault, lambda _: True)
    with pytest.raises(CatalogError) as found:
        reader.refresh()
    reader.catalog.fail("default", str(found.value))
    known = reader.resolve("1.2.3")
    assert (known.artifact.files, known.warnings) == (2, ())
    for floating in ("@champion", "^1.2", "latest"):
        resolved = reader.resolve(floating)
        assert (resolved.artifact.version, resolved.artifact.files) == ("1.2.3", 2)
        assert any("S3 can't be listed" in warning for warning in resolved.warnings)
    unknown = reader.resolve("9.9.9")
    assert unknown.artifact.files is None
    assert any("not checked" in warning for warning in unknown.warnings)


def test_without_any_listing_only_exact_versions_can_be_had(proxy: FaultyProxy, bucket: MotoBucket) -> None:
    reader = Reader(bucket, proxy, preflight="enforce")
    catalog = type(reader.catalog)(reader.settings, seconds=1, attempts=1)
    catalog.fail("default", "it is away")
    reader.catalog = catalog
    assert reader.version("1.2.3") == "1.2.3"
    for floating in ("@champion", "^1.2"):
        with pytest.raises(UnknownModel, match=r"could not be read yet \(it is away\); an exact version can"):
            reader.resolve(floating)


def test_what_cannot_change_is_looked_at_once(store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read()
    reader.resolve("latest")
    proxy.requests.clear()
    for version in ("latest", "1.2.3", "^1.2"):
        reader.resolve(version)
    assert proxy.requests == []
    assert list(reader.catalog.due("default", 10)) == []


def test_what_may_change_is_looked_at_again_while_it_is_used(bucket: MotoBucket, read: Read) -> None:
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    reader = read()
    assert reader.resolve("1.2.3").artifact.bytes == 1
    place = Place("default", "my-model", "1.2.3")
    reader.resolve("1.2.3")
    assert list(reader.catalog.due("default", 10)) == [place]
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"www")
    reader.catalog.remember(place, reader.catalog.look(place))
    assert list(reader.catalog.due("default", 10)) == []
    assert reader.resolve("1.2.3").artifact.bytes == 3


def test_a_miss_is_remembered_for_seconds_and_not_for_ever(
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
    monkeypatch.setattr("webhook.catalog.s3._PASSING_SECONDS", 0)
    assert reader.version("1.2.3") == "1.2.3"


def test_what_is_remembered_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.catalog.s3._MOST_PASSING", 5)
    reader = read()
    for number in range(20):
        reader.resolve(f"1.{number}.0")
    assert len(reader.catalog._passing) == 5


def test_an_answer_waits_for_a_look(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read()
    with pytest.raises(Unread) as unread:
        reader.catalog.resolve(reader.request("latest"))
    assert unread.value.places == (Place("default", "my-model", "1.2.3"),)


@pytest.mark.parametrize("fault", AWAY)
def test_a_store_that_does_not_answer_is_away(store: Store, proxy: FaultyProxy, fault: Fault) -> None:
    proxy.inject(fault, lambda _: True)
    with pytest.raises(Away):
        list(store.objects(""))


def test_a_manifest_that_is_none_is_refused_and_leaves_the_rest_as_it_is(
    store: Store, read: Read, tmp_path: Path
) -> None:
    """Other tools write files of that name, too."""
    published(store, tmp_path / "m", "1.2.3")
    store.write("other-1.0.0/manifest.json", b'{"no": 1}')
    reader = read(preflight="enforce")
    with pytest.raises(
        Incomplete, match=r"other 1\.0\.0 can't be checked: manifest\.json is not what publishing writes"
    ):
        reader.resolve("1.0.0", "other")
    with pytest.raises(UnknownModel):
        reader.resolve("1.0.0", "unknown")
    assert read(preflight="warn").resolve("1.0.0", "other").warnings


def test_a_manifest_of_another_version_is_refused(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    for each in list(store.objects("my-model-1.2.3/")):
        store.write(f"my-model-9.9.9/{each.key}", store.read(f"my-model-1.2.3/{each.key}", 10**6).body)
    with pytest.raises(Incomplete, match=r"is that of my-model-1\.2\.3"):
        read(preflight="enforce").resolve("9.9.9")


def test_a_range_takes_the_newest_known_version_where_s3_says_nothing_of_a_newer_one(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.0.0", tags={"published": "true"})
    reader = read(preflight="enforce", requiredTag="published=true")
    assert reader.version("latest") == "1.0.0"
    published(store, tmp_path / "m", "2.0.0")
    store.write(".publishing/my-model-3.0.0", b"{}")
    store.write("my-model-3.0.0/weights.bin", b"w")
    reader.refresh()
    proxy.inject(SLOW_DOWN, lambda _: True)
    resolved = reader.resolve("latest")
    assert resolved.artifact.version == "1.0.0"
    assert resolved.warnings == ("my-model 2.0.0 is passed over: S3 could not be asked",)
    with pytest.raises(UnknownVersion):
        reader.resolve(">1")


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


def test_what_may_have_changed_while_nobody_asked_is_looked_at_first(
    bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy
) -> None:
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    reader = read()
    assert reader.resolve("1.2.3").artifact.bytes == 1
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"www")
    monkeypatch.setattr(reader.catalog, "_idle_seconds", 0)
    with pytest.raises(Unread):
        reader.catalog.resolve(reader.request("1.2.3"))
    proxy.inject(SLOW_DOWN, lambda _: True)
    reader.catalog.fail("default", "away")
    assert reader.catalog.resolve(reader.request("1.2.3")).artifact.bytes == 1


def test_a_second_look_reads_no_manifest_again_and_sees_what_became_of_the_objects(
    store: Store, proxy: FaultyProxy, bucket: MotoBucket, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3", tags={"published": "true"})
    reader = read(preflight="enforce", requiredTag="published=true")
    first = reader.resolve("1.2.3").artifact
    place = Place("default", "my-model", "1.2.3")
    proxy.requests.clear()
    reader.catalog.remember(place, reader.catalog.look(place))
    assert reader.resolve("1.2.3").artifact == first
    assert not [request for request in proxy.requests if request.is_download() and "tagging" not in request.target]
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w" * 1000, "DEEP_ARCHIVE")
    reader.catalog.remember(place, reader.catalog.look(place))
    with pytest.raises(Archived):
        reader.resolve("1.2.3")


def test_a_server_that_refuses_connections_is_away(bucket: MotoBucket) -> None:
    nobody = Source(bucket=bucket.name, endpoint_url="http://127.0.0.1:9", region="us-east-1")
    with closing(Store(nobody, seconds=1, attempts=1)) as store, pytest.raises(Away):
        list(store.objects(""))


def test_a_look_that_s3_does_not_answer_changes_nothing_that_is_known(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read(preflight="enforce")
    first = reader.resolve("1.2.3").artifact
    place = Place("default", "my-model", "1.2.3")
    for fault in (SLOW_DOWN, ACCESS_DENIED):
        proxy.inject(fault, lambda _: True)
        reader.catalog.remember(place, reader.catalog.look(place))
        proxy.heal()
        assert reader.resolve("1.2.3").artifact == first


def test_what_cannot_change_is_looked_at_once_an_hour_for_what_may_become_of_its_objects(
    store: Store, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read()
    reader.resolve("1.2.3")
    reader.resolve("1.2.3")
    assert list(reader.catalog.due("default", 10)) == []
    now = time.monotonic()
    monkeypatch.setattr("webhook.catalog.s3.monotonic", lambda: now + 3601)
    assert list(reader.catalog.due("default", 10)) == [Place("default", "my-model", "1.2.3")]


def test_what_is_looked_at_again_is_bounded_and_the_longest_waiting_comes_first(bucket: MotoBucket, read: Read) -> None:
    for number in range(5):
        bucket.put(f"{PREFIX}/my-model-1.{number}.0/weights.bin", b"w")
    reader = read()
    for _ in range(2):
        for number in (3, 1, 4, 0, 2):
            reader.resolve(f"1.{number}.0")
    assert [place.version for place in reader.catalog.due("default", 3)] == ["1.3.0", "1.1.0", "1.4.0"]


def test_known_versions_are_bounded_and_the_oldest_goes(
    bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.s3._MOST_DETAILS", 2)
    for number in range(3):
        bucket.put(f"{PREFIX}/my-model-1.{number}.0/weights.bin", b"w")
    reader = read()
    for number in range(3):
        reader.resolve(f"1.{number}.0")
    reader.catalog.resolve(reader.request("1.2.0"))
    with pytest.raises(Unread):
        reader.catalog.resolve(reader.request("1.0.0"))


def test_of_a_range_only_the_newest_twenty_are_tried(store: Store, proxy: FaultyProxy, read: Read) -> None:
    for number in range(25):
        store.write(f".publishing/my-model-1.{number}.0", b"")
        store.write(f"my-model-1.{number}.0/weights.bin", b"w")
    reader = read(preflight="enforce")
    with pytest.raises(UnknownVersion, match=r"that is published; 1\.24\.0 is not"):
        reader.resolve("latest")
    assert proxy.count(lambda request: "my-model-1.4.0/" in request.query.get("prefix", "")) == 0
    assert proxy.count(lambda request: "my-model-1.5.0/" in request.query.get("prefix", "")) == 1


def test_a_folder_of_more_objects_than_a_volume_should_hold_is_not_sized(
    bucket: MotoBucket, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.detail._MOST_OBJECTS", 3)
    for number in range(4):
        bucket.put(f"{PREFIX}/my-model-1.2.3/{number}", b"w")
    with pytest.raises(Incomplete, match="3 objects or more"):
        read(preflight="enforce").resolve("1.2.3")
