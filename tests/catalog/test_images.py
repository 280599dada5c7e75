"""The images of versions, as the catalog records them."""

import json
from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, folder_of, published
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.images import parse_images
from webhook.catalog.bucket.manifest import Manifest, digest
from webhook.catalog.bucket.store import Store

IMAGE = f"registry.example.com/models/my-model@sha256:{'a' * 64}"
OTHER = f"localhost:5000/my-model@sha256:{'b' * 64}"


def recorded(store: Store, **images: tuple[str, Manifest | None]) -> None:
    """Write the object of `my-model`; in the versions, `_` stands for a dot."""
    content = {
        version.removeprefix("v").replace("_", "."): {
            "reference": reference,
            "manifest": manifest and digest(manifest.encode()),
        }
        for version, (reference, manifest) in images.items()
    }
    store.write(".images/my-model.json", json.dumps(content).encode())


def test_a_version_has_its_image(store: Store, read: Read, tmp_path: Path) -> None:
    manifest = published(store, tmp_path / "m", "1.2.3")
    published(store, tmp_path / "m", "2.0.0")
    recorded(store, v1_2_3=(IMAGE, manifest))
    reader = read()
    assert reader.resolve("1.2.3").artifact.image == IMAGE
    assert reader.resolve("2.0.0").artifact.image is None


def test_an_image_comes_and_goes_with_the_next_listing(store: Store, read: Read, tmp_path: Path) -> None:
    manifest = published(store, tmp_path / "m", "1.2.3")
    reader = read()
    before = reader.resolve("1.2.3").artifact
    recorded(store, v1_2_3=(IMAGE, manifest))
    reader.refresh()
    assert reader.resolve("1.2.3").artifact.image == IMAGE
    recorded(store)
    reader.refresh()
    assert reader.resolve("1.2.3").artifact == before


def test_an_artifact_whose_image_stays_stays_the_same_object(store: Store, read: Read, tmp_path: Path) -> None:
    recorded(store, v1_2_3=(IMAGE, published(store, tmp_path / "m", "1.2.3")))
    reader = read()
    before = reader.resolve("1.2.3").artifact
    reader.refresh()
    assert reader.resolve("1.2.3").artifact is before


def test_a_version_that_was_published_again_with_other_files_has_no_image(
    store: Store, read: Read, tmp_path: Path
) -> None:
    recorded(store, v1_2_3=(IMAGE, published(store, tmp_path / "m", "1.2.3")))
    for stored in list(store.objects("my-model-1.2.3/")):
        store.delete(f"my-model-1.2.3/{stored.key}")
    published(store, folder_of(tmp_path / "n", weights_bin=b"x"), "1.2.3")
    assert read().resolve("1.2.3").artifact.image is None


def test_a_version_that_is_gone_has_no_image(store: Store, read: Read, tmp_path: Path) -> None:
    recorded(store, v1_2_3=(IMAGE, None))
    published(store, tmp_path / "m", "2.0.0")
    resolved = read(preflight="warn").resolve("1.2.3")
    assert resolved.artifact.image is None
    assert "no version 1.2.3" in resolved.warnings[0]


def test_a_folder_without_a_manifest_has_the_image_that_was_built_of_it(
    store: Store, bucket: MotoBucket, read: Read
) -> None:
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    recorded(store, v1_2_3=(IMAGE, None))
    assert read().resolve("1.2.3").artifact.image == IMAGE


def test_images_that_stay_the_same_are_read_once(store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path) -> None:
    recorded(store, v1_2_3=(IMAGE, published(store, tmp_path / "m", "1.2.3")))
    reader = read()
    proxy.requests.clear()
    reader.refresh()
    assert not [request for request in proxy.requests if request.is_download()]


def test_spoiled_images_keep_those_that_were_read(store: Store, read: Read, tmp_path: Path) -> None:
    recorded(store, v1_2_3=(IMAGE, published(store, tmp_path / "m", "1.2.3")))
    reader = read()
    store.write(".images/my-model.json", b"{")
    reader.refresh()
    assert reader.resolve("1.2.3").artifact.image == IMAGE
    assert "images are a JSON object" in reader.catalog.status("default").problem


@pytest.mark.parametrize(
    ("version", "reference"),
    [
        ("1.2.3", "registry.example.com/models/my-model:1.2.3"),
        ("1.2.3", f"models/my-model@sha256:{'a' * 64}"),
        ("1.2.3", f"registry.example.com/My-Model@sha256:{'a' * 64}"),
        ("1.2.3", f"registry.example.com/{'a' * 500}@sha256:{'a' * 64}"),
        ("1.2.3", f"registry.example.com/my-model@sha256:{'a' * 64}\n"),
        ("^1.2", IMAGE),
    ],
)
def test_what_is_no_image_with_a_digest_is_not_taken(version: str, reference: str) -> None:
    with pytest.raises(CatalogError, match="is invalid"):
        parse_images(json.dumps({version: {"reference": reference}}).encode())


@pytest.mark.parametrize("reference", [IMAGE, OTHER, IMAGE.replace("registry.example.com", "localhost")])
def test_a_reference_names_its_registry(reference: str) -> None:
    assert parse_images(json.dumps({"1.2.3": {"reference": reference}}).encode())["1.2.3"].reference == reference
