"""What the controller reads of a bucket, with few requests, and what it keeps when S3 does not answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, aliased, published, source
from tests.support import moto_s3
from tests.support.clock import Clock
from tests.support.faults import Answer, Drop, Request
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.store import Store
from webhook.catalog.lookup import s3 as lookup
from webhook.catalog.lookup.s3 import S3Catalog
from webhook.catalog.publishing.withdrawals import withdraw
from webhook.controller.catalog import CatalogReader
from webhook.controller.published import Published, Version
from webhook.settings import Settings

DENIED = Answer(403, b"<Error><Code>AccessDenied</Code></Error>")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> MotoBucket:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return moto_s3.make_bucket(server)


@pytest.fixture
def proxy(server: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(server) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: MotoBucket, proxy: FaultyProxy) -> Iterator[Store]:
    store = Store(source(bucket, proxy), seconds=3, attempts=1)
    yield store
    store.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of what is remembered for some seconds."""
    clock = Clock()
    monkeypatch.setattr(lookup, "monotonic", clock)
    return clock


class Read:
    """A reader of two sources, of which loads are about the models `my-*` of one."""

    def __init__(self, bucket: MotoBucket, proxy: FaultyProxy, clock: Clock) -> None:
        self.clock = clock
        self.settings = Settings(
            bucket=bucket.name,
            prefix=PREFIX,
            endpoint_url=proxy.url,
            region="us-east-1",
            catalog={"mode": "s3"},
            sources={
                "other": {
                    "bucket": bucket.name,
                    "prefix": "others",
                    "endpoint_url": proxy.url,
                    "region": "us-east-1",
                }
            },
            loads=[{"strategy": "s3-mount", "models": ["my-*"]}],
        )
        self.begin()

    def begin(self) -> None:
        """Start the process again."""
        self.reader = CatalogReader(self.settings, expires=False)
        self.reader.catalog = S3Catalog(self.reader._settings, seconds=3, attempts=1)

    def read(self) -> Published:
        self.clock.now += 60
        return self.reader.read()

    def version(self, name: str, model: str = "my-model") -> Version:
        return self.read().sources["default"][model].versions[name]


@pytest.fixture
def it(bucket: MotoBucket, proxy: FaultyProxy, clock: Clock) -> Iterator[Read]:
    read = Read(bucket, proxy, clock)
    yield read
    read.reader.close()


def loaded(published: Published, it: Read) -> list[str]:
    return [f"{each.artifact.model} {each.artifact.version}" for each in published.selected(it.settings.loads[0])]


def test_published_versions_are_read_with_what_loads_need(it: Read, store: Store, tmp_path: Path) -> None:
    manifest = published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    found = it.read()
    version = found.sources["default"]["my-model"].versions["1.2.3"]
    assert (version.problem, version.created_at) == ("", manifest.created_at)
    assert version.artifact.digest
    assert version.artifact.object_bytes
    assert found.sources["default"]["my-model"].aliases == {"champion": "1.2.3"}
    assert found.uris == {version.artifact.uri}
    assert found.sources["other"] == {}
    assert loaded(found, it) == ["my-model 1.2.3"]


def test_only_models_that_loads_are_about_are_looked_up(
    it: Read, store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    published(store, tmp_path / "m", "1.0.0", "your-model")
    proxy.requests.clear()
    found = it.read()
    assert list(found.sources["default"]) == ["my-model"]
    assert {uri.rpartition("/")[2] for uri in found.uris} == {"my-model-1.2.3", "your-model-1.0.0"}
    assert not [each for each in proxy.requests if "your-model-" in each.target]


def test_requests_stay_few_when_nothing_changes(it: Read, store: Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    for minor in range(10):
        published(store, tmp_path / "m", f"1.{minor}.0")
    it.read()
    counts = []
    for _ in range(3):
        proxy.requests.clear()
        it.read()
        counts.append(len(proxy.requests))
        assert not [each for each in proxy.requests if each.is_download()]
    assert counts[0] == counts[1] == counts[2]
    published(store, tmp_path / "m", "2.0.0")
    proxy.requests.clear()
    it.read()
    (download,) = [each for each in proxy.requests if each.is_download()]
    assert download.key.startswith(f"{PREFIX}/my-model-2.0.0/")


@pytest.mark.parametrize("fault", [Drop(), Answer(500, b""), DENIED])
def test_a_source_that_cannot_be_listed_stays_as_it_was(
    it: Read, store: Store, proxy: FaultyProxy, tmp_path: Path, fault: Drop | Answer
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    before = it.read()
    published(store, tmp_path / "m", "2.0.0")
    proxy.inject(fault, Request.is_listing)
    after = it.read()
    assert (after.sources, after.uris) == (before.sources, before.uris)
    assert sorted(it.reader.problems) == ["default", "other"]
    proxy.heal()
    assert loaded(it.read(), it) == ["my-model 2.0.0", "my-model 1.2.3"]
    assert it.reader.problems == {}


def test_a_source_that_was_never_listed_is_unknown(it: Read, proxy: FaultyProxy) -> None:
    proxy.inject(Drop(), Request.is_listing)
    assert it.read() == Published(stale=frozenset({"default", "other"}))


def test_one_source_does_not_hinder_another(it: Read, store: Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    proxy.inject(Drop(), lambda request: request.query.get("prefix", "").startswith("others"))
    found = it.read()
    assert list(found.sources) == ["default"]
    assert list(it.reader.problems) == ["other"]


def test_a_listing_in_part_is_not_taken(it: Read, store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    before = it.read()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("webhook.catalog.bucket.listing.MOST_VERSIONS", 1)
        published(store, tmp_path / "m", "2.0.0")
        after = it.read()
    assert after.sources == before.sources
    assert "more than 1 versions" in it.reader.problems["default"]
    assert len(it.read().uris) == 2


def test_a_version_that_does_not_answer_leaves_its_source_as_it_was(
    it: Read, store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    it.read()
    published(store, tmp_path / "m", "2.0.0")
    proxy.inject(Drop(), lambda request: "my-model-2.0.0" in request.target)
    assert loaded(it.read(), it) == ["my-model 1.2.3"]
    assert "default" in it.reader.problems
    proxy.heal()
    assert loaded(it.read(), it) == ["my-model 2.0.0", "my-model 1.2.3"]


def test_nothing_follows_from_a_version_that_s3_denies(
    it: Read, store: Store, proxy: FaultyProxy, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    proxy.inject(DENIED, Request.is_download)
    version = it.version("1.2.3")
    assert "S3 denies" in version.problem
    assert not version.is_checked
    proxy.heal()
    version = it.version("1.2.3")
    assert (version.problem, version.is_checked) == ("", True)


def test_a_version_that_is_gone_is_not_listed(it: Read, store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    it.read()
    for stored in list(store.objects("my-model-1.2.3/")):
        store.delete(f"my-model-1.2.3/{stored.key}")
    found = it.read()
    assert (found.uris, loaded(found, it)) == (frozenset(), [])


def test_a_withdrawn_version_is_not_loaded(it: Read, store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    it.read()
    withdraw(store, "my-model", "1.2.3", "it is biased")
    version = it.version("1.2.3")
    assert version.is_withdrawn
    assert version.is_checked
    assert "it is biased" in version.problem
    assert loaded(it.read(), it) == []


def test_a_folder_without_a_manifest_is_not_loaded(it: Read, bucket: MotoBucket) -> None:
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    version = it.version("1.2.3")
    assert version.problem == "it has no manifest: publish it with model-injector publish"
    assert loaded(it.read(), it) == []


def test_a_version_that_was_published_again_is_noticed_within_an_hour(it: Read, store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    before = it.version("1.2.3").artifact.digest
    for stored in list(store.objects("my-model-1.2.3/")):
        store.delete(f"my-model-1.2.3/{stored.key}")
    (tmp_path / "m" / "weights.bin").write_bytes(b"other")
    published(store, tmp_path / "m", "1.2.3")
    it.clock.now += 3600
    assert it.version("1.2.3").artifact.digest != before
