"""Which files share a layer, and the bytes of a layer, which are the same for ever."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.catalog.bucket.errors import CatalogError, Unreachable
from webhook.catalog.bucket.store import Store
from webhook.images.layers import LayerFile, parts, recipe, size_of, split
from webhook.images.stream import FolderReader, LayerStream, Stopped
from webhook.model.source import Source

MIB = 1 << 20
CONTENTS = {"a.bin": b"a" * 1000, "b/c/d.json": b"{}", "b/c/empty": b"", "b/e.bin": bytes(range(256)) * 10}


@pytest.fixture(autouse=True)
def small_layers() -> None:
    """Not here."""


def file_of(path: str, content: bytes) -> LayerFile:
    return LayerFile(path, len(content), hashlib.sha256(content).hexdigest())


class Reader(FolderReader):
    """Reads what a test gives it, in chunks of a size that fits nothing."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        super().__init__(Failing(), "folder", Event())
        self.contents = contents

    def read(self, file: LayerFile, start: int = 0) -> Iterator[bytes]:
        content = self.contents[file.path][start:]
        for offset in range(0, len(content), 777):
            yield content[offset : offset + 777]


def stream_of(contents: dict[str, bytes]) -> LayerStream:
    return LayerStream([file_of(path, content) for path, content in contents.items()], Reader(contents))


def names(layers: Sequence[Sequence[LayerFile]]) -> list[list[str]]:
    return [[file.path for file in layer] for layer in layers]


def test_the_bytes_of_a_layer_do_not_change_from_release_to_release() -> None:
    contents = {**CONTENTS, "b/" + "n" * 200: b"long", "ü.txt": b"not ASCII"}
    layer = stream_of(contents)
    whole = b"".join(layer.chunks(0))
    assert layer.digest == f"sha256:{hashlib.sha256(whole).hexdigest()}"
    assert layer.digest == "sha256:e6555821bf178673b5382c179f9101edc84520e24d49cb84f67d2c8b6bee03e7"


@given(st.lists(st.integers(0, 8704), max_size=6))
def test_a_layer_can_be_continued_at_each_offset(starts: list[int]) -> None:
    whole = b"".join(stream_of(CONTENTS).chunks(0))
    layer = stream_of(CONTENTS)
    assert layer.size == len(whole)
    for start in starts:
        if start <= layer.hashed:
            chunks = layer.chunks(start)
            assert next(chunks, b"") == whole[start:][:MIB]
            chunks.close()
    start = min(layer.hashed, 512)
    assert b"".join(layer.chunks(start)) == whole[start:]
    assert layer.digest == f"sha256:{hashlib.sha256(whole).hexdigest()}"


def test_large_content_is_passed_on_in_pieces() -> None:
    contents = {"a.bin": b"a" * (5 * MIB), **{f"b/{number:03}": b"b" * 1000 for number in range(100)}}
    pieces = [len(piece) for piece in stream_of(contents).chunks(0)]
    assert max(pieces) <= MIB
    assert len(pieces) < 10


def test_a_wrong_file_is_found_before_its_end_is_passed_on() -> None:
    layer = LayerStream([file_of("a.bin", b"a" * 2000)], Reader({"a.bin": b"a" * 1999 + b"b"}))
    with pytest.raises(CatalogError, match=r"a\.bin is corrupt"):
        list(layer.chunks(0))


@pytest.mark.parametrize("size", [8 * 1024**3 - 1, 8 * 1024**3, 5 * 1024**4])
def test_a_file_may_be_larger_than_the_first_tar_allowed(size: int) -> None:
    (first, *_) = parts([LayerFile("huge.bin", size)])
    with tarfile.open(fileobj=io.BytesIO(first.content + bytes(1024)), mode="r:") as archive:
        found = archive.next()
    assert found is not None
    assert (found.name, found.size) == ("huge.bin", size)
    assert size_of([LayerFile("huge.bin", size)]) % 512 == 0


def test_large_files_have_a_layer_each_and_small_ones_share() -> None:
    files = [
        LayerFile("b.bin", 16 * MIB),
        LayerFile("a.bin", 5 * 1024**4),
        LayerFile("z.json", 16 * MIB - 1),
        LayerFile("c/d.json", 10),
        LayerFile("manifest.json", 1),
        LayerFile("SHA256SUMS", 1),
        LayerFile("c/manifest.json", 1),
    ]
    assert names(split(files)) == [
        ["a.bin"],
        ["b.bin"],
        ["c/d.json", "c/manifest.json", "z.json"],
        ["SHA256SUMS", "manifest.json"],
    ]


def test_a_new_small_file_leaves_the_layers_of_large_ones_as_they_are() -> None:
    large = [LayerFile(f"{number}.bin", 20 * MIB, "a" * 64) for number in range(3)]
    before, after = split([*large, LayerFile("a", 1)]), split([*large, LayerFile("a", 1), LayerFile("b", 1)])
    assert before[:3] == after[:3]
    assert before[3:] != after[3:]


@given(st.lists(st.integers(0, 64 * MIB), max_size=600), st.sampled_from([1, 40]))
def test_each_file_is_in_one_layer_and_no_image_has_too_many(sizes: list[int], times: int) -> None:
    files = [LayerFile(f"{number:05}", size) for number, size in enumerate(sizes * times)]
    layers = split([*files, LayerFile("manifest.json", 1)])
    placed = sorted(file.path for layer in layers for file in layer)
    assert placed == sorted(["manifest.json", *(file.path for file in files)])
    assert len(layers) <= 100


def test_a_recipe_stands_for_paths_sizes_and_content() -> None:
    files = [file_of("a", b"1"), file_of("b", b"2")]
    others = [
        [file_of("a", b"1"), file_of("b", b"3")],
        [file_of("a", b"1"), file_of("c", b"2")],
        [file_of("a", b"1")],
        [LayerFile("a", 1, "", '"x"'), LayerFile("b", 1, "", '"y"')],
    ]
    found = {recipe(each, "s3://one/folder") for each in [files, *others]}
    assert len(found) == 5
    assert recipe(files, "s3://one/folder") == recipe(files, "s3://other/folder")


def test_an_etag_counts_only_within_its_folder_and_only_if_there_is_one() -> None:
    files = [LayerFile("a", 1, "", '"x"')]
    assert recipe(files, "s3://one/folder") == recipe(files, "s3://one/folder")
    assert recipe(files, "s3://one/folder") != recipe(files, "s3://other/folder")
    assert recipe([LayerFile("a", 1, "", '""')], "s3://one/folder") is None


class Failing(Store):
    """Fails in the ways that a test gives it, one after the other."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        super().__init__(Source(bucket="my-bucket"))
        self.outcomes, self.asked = list(outcomes), list[int]()

    def stream(self, key: str, first: int, last: int, etag: str = "") -> Iterator[bytes]:  # noqa: ARG002
        self.asked.append(first)
        while self.outcomes:
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.images.stream._LONGEST_PAUSE_SECONDS", 0)


def test_a_download_gives_up_only_if_it_makes_no_progress() -> None:
    gone: list[Any] = [Unreachable("gone")] * 7
    store = Failing(b"a", *gone, b"b", *gone, b"c")
    assert b"".join(FolderReader(store, "folder", Event()).read(LayerFile("x", 3))) == b"abc"
    assert store.asked == [0, *[1] * 7, *[2] * 7]
    with pytest.raises(Unreachable):
        list(FolderReader(Failing(*gone, *gone), "folder", Event()).read(LayerFile("x", 3)))


def test_an_object_that_became_shorter_is_an_error() -> None:
    with pytest.raises(CatalogError, match="has 2 bytes, not 3: it was replaced"):
        list(FolderReader(Failing(b"ab"), "folder", Event()).read(LayerFile("x", 3)))


def test_a_download_stops_when_it_is_told_to() -> None:
    stopped = Event()
    stopped.set()
    for outcome in (b"abc", Unreachable("gone")):
        with pytest.raises(Stopped):
            list(FolderReader(Failing(outcome), "folder", stopped).read(LayerFile("x", 3)))
