"""S3 that does not answer."""

import itertools
import traceback
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, Reader, aliased, published, source
from tests.support.faults import (
    ACCESS_DENIED,
    SLOW_DOWN,
    Answer,
    Cut,
    Drop,
    Edit,
    Fault,
    Request,
    Stall,
    Trickle,
    download_of,
    s3_error,
)
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError, Denied, Unreachable
from webhook.catalog.bucket.store import Store
from webhook.catalog.resolution import UnknownModel, UnknownVersion, VersionKey
from webhook.http.throughput import MinimumThroughput
from webhook.model.source import Source

PAGE = Answer(200, b"<html><body><h1>Sign in</h1></body></html>", (("Content-Type", "text/html"),))
ODD_OBJECT = Answer(200, b"<ListBucketResult><Name>b</Name><Contents><Key>x</Key></Contents></ListBucketResult>")
ODD_SIZES = [
    Answer(
        200,
        b"<ListBucketResult><Name>b</Name><Contents><Key>x</Key><Size>%d</Size></Contents></ListBucketResult>" % size,
    )
    for size in (-1, 10**400)
]
NO_KEY = Answer(
    200,
    b"<ListBucketResult><EncodingType>url</EncodingType><Contents><Size>1</Size></Contents></ListBucketResult>",
)
NO_ERROR = Answer(
    400,
    b"<ListBucketResult><EncodingType>url</EncodingType><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"
    b"</ListBucketResult>",
)
WRONG_CLOCK = s3_error(403, "RequestTimeTooSkewed", "The difference between the times is too large.")
UNREACHABLE: list[Fault] = [
    *(Drop(), SLOW_DOWN, Answer(500, b""), Answer(200, b"<not xml"), Stall(), Cut(10)),
    *(PAGE, Answer(200, b""), Answer(206, b"<not xml"), ODD_OBJECT, *ODD_SIZES, NO_KEY, NO_ERROR),
    WRONG_CLOCK,
    s3_error(400, "RequestTimeout", "too slow"),
]


@pytest.mark.parametrize("fault", UNREACHABLE)
@pytest.mark.parametrize("preflight", ["off", "warn", "enforce"])
def test_exact_versions_resolve_while_s3_is_unreachable(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path, fault: Fault, preflight: str
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    reader = read(preflight=preflight, patience=1)
    assert reader.resolve("@champion").artifact.files == 2
    proxy.inject(fault, lambda _: True)
    with pytest.raises(CatalogError) as found:
        reader.refresh()
    reader.catalog.listing_failed("default", str(found.value))
    known = reader.resolve("1.2.3")
    assert (known.artifact.files, known.warnings) == (2, ())
    for floating in ("@champion", "^1.2", "latest"):
        resolved = reader.resolve(floating)
        assert (resolved.artifact.version, resolved.artifact.files) == ("1.2.3", 2)
        assert any("S3 cannot be listed" in warning for warning in resolved.warnings)
    unknown = reader.resolve("9.9.9")
    assert unknown.artifact.files is None
    assert any("not checked" in warning for warning in unknown.warnings)


def test_without_any_listing_only_exact_versions_can_be_had(proxy: FaultyProxy, bucket: MotoBucket) -> None:
    reader = Reader(bucket, proxy, preflight="enforce")
    catalog = type(reader.catalog)(reader.settings, seconds=1, attempts=1)
    catalog.listing_failed("default", "no answer")
    reader.catalog = catalog
    assert reader.version("1.2.3") == "1.2.3"
    for floating in ("@champion", "^1.2"):
        with pytest.raises(UnknownModel, match=r"has not been read yet \(no answer\); ask for an exact version"):
            reader.resolve(floating)


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
    assert resolved.warnings == ("my-model 2.0.0 is skipped: S3 did not answer",)
    with pytest.raises(UnknownVersion):
        reader.resolve(">1")


def test_a_failed_lookup_leaves_cached_versions_as_they_are(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read(preflight="enforce")
    first = reader.resolve("1.2.3").artifact
    key = VersionKey("default", "my-model", "1.2.3")
    for fault in (SLOW_DOWN, ACCESS_DENIED):
        proxy.inject(fault, lambda _: True)
        reader.catalog.cache(key, reader.catalog.look_up(key))
        proxy.heal()
        assert reader.resolve("1.2.3").artifact == first


@pytest.mark.parametrize("fault", UNREACHABLE)
def test_a_store_that_does_not_answer_is_unreachable(bucket: MotoBucket, proxy: FaultyProxy, fault: Fault) -> None:
    proxy.inject(fault, lambda _: True)
    with closing(Store(source(bucket, proxy), seconds=1, attempts=1)) as store, pytest.raises(Unreachable):
        list(store.objects(""))


def test_a_page_instead_of_a_listing_leaves_the_catalog_as_it_is(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read(preflight="enforce")
    proxy.inject(PAGE, Request.is_listing)
    with pytest.raises(Unreachable, match="the answer is not a listing"):
        reader.refresh()
    assert reader.version("latest") == "1.2.3"


def test_a_page_instead_of_tags_is_no_missing_tag(store: Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    proxy.inject(PAGE, lambda request: "tagging" in request.query or "tagging" in request.target)
    with pytest.raises(Unreachable, match="the answer has no tags"):
        store.tags("my-model-1.2.3/manifest.json")


def test_a_replica_whose_clock_is_wrong_refuses_no_pod(
    store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path
) -> None:
    published(store, tmp_path / "m", "1.2.3")
    reader = read(preflight="enforce")
    proxy.inject(WRONG_CLOCK, lambda _: True)
    resolved = reader.resolve("1.2.3")
    assert any("not checked" in warning for warning in resolved.warnings)


def test_a_server_that_refuses_connections_is_unreachable(bucket: MotoBucket) -> None:
    refusing = Source(bucket=bucket.name, endpoint_url="http://127.0.0.1:9", region="us-east-1")
    with closing(Store(refusing, seconds=1, attempts=1)) as store, pytest.raises(Unreachable):
        list(store.objects(""))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
def test_a_key_that_ends_in_a_line_break_is_named_and_not_shown(
    bucket: MotoBucket, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "S3CRET\n")
    with closing(Store(source(bucket, proxy), seconds=1, attempts=1)) as store, pytest.raises(Denied) as error:
        list(store.objects(""))
    assert "a line break at its end" in str(error.value)
    assert "S3CRET" not in "".join(traceback.format_exception(error.value))


def test_an_s3_that_sends_a_few_bytes_now_and_then_is_given_up(
    store: Store, bucket: MotoBucket, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 2).__next__  # store has 3 seconds of patience
    monkeypatch.setattr("webhook.catalog.bucket.store.MinimumThroughput", partial(MinimumThroughput, clock=clock))
    bucket.put(f"{PREFIX}/weights.bin", b"w" * 500)
    proxy.inject(Trickle(0.01), download_of("weights.bin"))
    arriving = store.stream("weights.bin", 0, 499)
    assert not next(arriving).strip(b"w")
    with pytest.raises(Unreachable, match="sends too slowly"):
        list(arriving)
    with pytest.raises(Unreachable, match="sends too slowly"):
        store.read("weights.bin", 500)
    proxy.heal()
    assert b"".join(store.stream("weights.bin", 0, 499)) == store.read("weights.bin", 500).body == b"w" * 500


@pytest.mark.parametrize("fault", [Cut(300), Stall(300)])
def test_a_stream_that_breaks_off_is_not_taken_for_a_short_object(
    fault: Fault, store: Store, bucket: MotoBucket, proxy: FaultyProxy
) -> None:
    bucket.put(f"{PREFIX}/weights.bin", b"w" * 500)
    proxy.inject(fault, download_of("weights.bin"))
    arriving = store.stream("weights.bin", 0, 499)
    assert next(arriving) == b"w" * 300
    with pytest.raises(Unreachable):
        list(arriving)
    with pytest.raises(Unreachable):
        store.read("weights.bin", 500)


def test_a_listing_without_an_end_is_given_up(
    store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = itertools.count()

    def truncated(_: Answer) -> Answer:
        token = f"<NextContinuationToken>{next(tokens)}</NextContinuationToken>"
        page = f"<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>{token}</ListBucketResult>"
        return Answer(200, page.encode())

    proxy.inject(Edit(truncated), Request.is_listing)
    monkeypatch.setattr("webhook.catalog.bucket.store.monotonic", itertools.count(0, 60).__next__)
    with pytest.raises(Unreachable, match="did not end within 600 s"):
        list(store.objects("my-model-1.0.0/"))
    assert proxy.count(Request.is_listing) == 10
