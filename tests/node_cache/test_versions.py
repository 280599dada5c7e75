"""What a version consists of, whatever somebody wrote into the bucket."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.catalog.conftest import PREFIX, published, source
from tests.node_cache.conftest import SMALL, publish
from tests.support.faults import NO_ETAGS, Answer, Request
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError, Denied, NotFound
from webhook.catalog.bucket.store import Store
from webhook.model.artifact import Artifact
from webhook.node_cache import versions
from webhook.node_cache.versions import Changed, Content, Unverifiable, etags_of, read_content

SHA = hashlib.sha256(b"w").hexdigest()
FOLDER = f"{PREFIX}/my-model-1.0.0"


@pytest.fixture
def artifact(bucket: MotoBucket, proxy: FaultyProxy) -> Artifact:
    return Artifact("my-model", "1.0.0", source(bucket, proxy))


def file(path: Any, size: Any = 1, sha256: Any = SHA) -> dict[str, Any]:
    return {"path": path, "size": size, "sha256": sha256}


def described(bucket: MotoBucket, *files: Mapping[str, Any], **changed: Any) -> None:
    """Write a manifest of these files."""
    manifest = {"model": "my-model", "version": "1.0.0", "createdAt": "2026-01-01T00:00:00Z", "files": files, **changed}
    bucket.put(f"{FOLDER}/manifest.json", json.dumps(manifest).encode())


def test_a_published_version_consists_of_its_files_the_manifest_and_the_sums(
    bucket: MotoBucket, store: Store, artifact: Artifact, tmp_path: Path
) -> None:
    publish(store, tmp_path, SMALL)
    content = read_content(store, artifact, "")
    stored = {key.removeprefix(f"{FOLDER}/"): body for key, body in bucket.objects().items() if FOLDER in key}
    stored = {key: body for key, body in stored.items() if not key.startswith(PREFIX)}
    assert {each.path: (each.size, each.sha256) for each in content.files} == {
        path: (len(body), hashlib.sha256(body).hexdigest()) for path, body in stored.items()
    }
    assert content.digest == hashlib.sha256(stored["manifest.json"]).hexdigest()
    assert read_content(store, artifact, content.digest) == content
    with pytest.raises(Changed, match="published again"):
        read_content(store, artifact, "0" * 64)


@pytest.mark.parametrize(
    "path",
    [
        *("..", "../x", "a/../../x", "a/..", ".", "./x", "a/./b", "", "/", "/etc/passwd", "a//b", "a/"),
        *("a\nb", "a\x00b", "\x1b[2J", "a\\b", "a*", " a", "a/ b", "x" * 513, "x" * 256),
        *("manifest.json", "SHA256SUMS", "SHA256SUMS/x", "manifest.json/x"),
    ],
)
def test_a_path_that_cannot_be_a_file_of_the_folder_is_refused(
    path: str, bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    described(bucket, file("config.json"), file(path))
    bucket.put(f"{FOLDER}/config.json", b"w")
    with pytest.raises(CatalogError) as error:
        read_content(store, artifact, "")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "files",
    [
        [file("a"), file("a")],
        [file("a"), file("a/b")],
        [file("a/b/c"), file("a-b"), file("a/b")],
        [file("a", size=-1)],
        [file("a", size=(1 << 50) + 1)],
        [file("a", size=10**400)],
        [file("a", size=1.5)],
        [file("a", size="1")],
        [file(1)],
        [file(None)],
        [file("a", sha256=None)],
        ["a"],
    ],
)
def test_a_manifest_that_describes_no_folder_is_refused(
    files: list[Any], bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    described(bucket, *files)
    bucket.put(f"{FOLDER}/a", b"w")
    with pytest.raises(CatalogError):
        read_content(store, artifact, "")


@pytest.mark.parametrize("changed", [{"model": "other"}, {"version": "1.0.1"}, {"files": None}, {"createdAt": "no"}])
def test_a_manifest_of_something_else_is_refused(
    changed: dict[str, Any], bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    described(bucket, file("a"), **changed)
    bucket.put(f"{FOLDER}/a", b"w")
    with pytest.raises(CatalogError):
        read_content(store, artifact, "")


@pytest.mark.parametrize("manifest", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"model": "my-model"}'])
def test_a_manifest_that_is_none_is_refused(
    manifest: bytes, bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    bucket.put(f"{FOLDER}/manifest.json", manifest)
    with pytest.raises(CatalogError, match="is not a manifest"):
        read_content(store, artifact, "")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of more than three files are large, and those of more than five too large."""
    monkeypatch.setattr(versions, "_SMALL", versions._Limits(350, 3))
    monkeypatch.setattr(versions, "_LARGE", versions._Limits(1 << 20, 5))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("has_manifest", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_a_large_version_is_read_as_a_small_one_is_and_alone(
    count: int, has_manifest: bool, bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    for number in range(count):
        bucket.put(f"{FOLDER}/{number}", b"w")
    if has_manifest:
        files = [file(str(number)) for number in range(count)]
        described(bucket, *files)
        bucket.put(f"{FOLDER}/SHA256SUMS", "".join(f"{SHA}  {each['path']}\n" for each in files).encode())
    with versions._large, ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read_content, store, artifact, "")
        assert bool(wait((reading,), 60 if count == 1 else 0.5).done) == (count == 1)
        versions._large.release()
        content = reading.result()
        versions._large.acquire()
    assert {each.path for each in content.files} >= {str(number) for number in range(count)}
    assert etags_of(store, artifact, content).keys() == {each.path for each in content.files}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("has_manifest", [False, True])
def test_a_version_of_too_many_files_is_refused(
    has_manifest: bool, bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    for number in range(6):
        bucket.put(f"{FOLDER}/{number}", b"w")
    if has_manifest:
        described(bucket, *(file(str(number)) for number in range(6)))
    with pytest.raises(CatalogError, match="more than 5"):
        read_content(store, artifact, "")


@pytest.mark.parametrize("denied", ["manifest.json", "config.json"])
def test_whoever_may_not_read_the_manifest_or_the_files_is_refused(
    denied: str, store: Store, proxy: FaultyProxy, artifact: Artifact, tmp_path: Path
) -> None:
    publish(store, tmp_path, SMALL)

    def is_denied(request: Request) -> bool:
        return request.key.endswith(f"1.0.0/{denied}")

    proxy.inject(Answer(403, b"<Error><Code>AccessDenied</Code></Error>"), is_denied)
    with pytest.raises(Denied):
        read_content(store, artifact, "")


def test_without_objects_there_is_no_version(store: Store, artifact: Artifact) -> None:
    with pytest.raises(NotFound, match="has no objects"):
        read_content(store, artifact, "")


def unmanaged(bucket: MotoBucket, **files: bytes) -> None:
    for name, content in files.items():
        bucket.put(f"{FOLDER}/{name}", content)


def test_without_a_manifest_the_digest_is_that_of_the_listing(
    bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    unmanaged(bucket, a=b"w", b=b"ww")
    first = read_content(store, artifact, "")
    assert read_content(store, artifact, first.digest) == first
    assert [(each.path, each.size, each.sha256) for each in first.files] == [("a", 1, ""), ("b", 2, "")]
    unmanaged(bucket, a=b"v")  # of the same size: its ETag differs
    with pytest.raises(Changed):
        read_content(store, artifact, first.digest)
    second = read_content(store, artifact, "")
    assert (second.digest, second.key) != (first.digest, first.key)
    unmanaged(bucket, a=b"w")
    assert read_content(store, artifact, "") == first


def hashes(content: Content) -> dict[str, str]:
    return {each.path: each.sha256 for each in content.files}


@pytest.mark.parametrize(
    "line",
    [
        "{sha}  a",
        "{sha} *a",
        "{sha}  ./a",
        "{sha}  a\r",
        "{SHA}  a",
        "\\{sha}  a",
        "{sha}  a\n{zero}  a",
        "x\n{sha}  a",
    ],
)
def test_without_a_manifest_the_hashes_are_those_of_the_sums(
    line: str, bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    listed = line.format(sha=SHA, SHA=SHA.upper(), zero="0" * 64).encode() + b"\n"
    unmanaged(bucket, a=b"w", b=b"ww", SHA256SUMS=listed)
    found = hashes(read_content(store, artifact, "", needs_hashes=True))
    assert found == {"a": SHA, "b": "", "SHA256SUMS": hashlib.sha256(listed).hexdigest()}
    without = read_content(store, artifact, "")
    assert without.key == read_content(store, artifact, "", needs_hashes=True).key


def test_without_a_manifest_and_without_sums_nothing_can_be_verified(
    bucket: MotoBucket, store: Store, artifact: Artifact
) -> None:
    unmanaged(bucket, a=b"w")
    with pytest.raises(Unverifiable, match=r"neither manifest\.json nor SHA256SUMS"):
        read_content(store, artifact, "", needs_hashes=True)


def test_what_may_be_overwritten_unnoticed_is_refused_unless_it_has_a_manifest(
    bucket: MotoBucket, store: Store, proxy: FaultyProxy, artifact: Artifact, tmp_path: Path
) -> None:
    proxy.inject(NO_ETAGS, lambda _: True)
    unmanaged(bucket, a=b"w", SHA256SUMS=f"{SHA}  a\n".encode())
    for needs_hashes in (False, True):
        with pytest.raises(Unverifiable, match=r"gives no ETags, .*publish it with model-injector publish"):
            read_content(store, artifact, "", needs_hashes=needs_hashes)
    published(store, tmp_path / "m", "2.0.0")
    content = read_content(store, msgspec.structs.replace(artifact, version="2.0.0"), "")
    assert content.files
