"""The tag by which a lifecycle rule deletes a version: an interruption never leaves it where nobody looks."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import moto_s3
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError, NotFound
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.tagging import has_tag, is_completely_tagged, tag_version, untag_version
from webhook.model.source import Source

FOLDER, TAG = "my-model-1.0.0", "state=expired"
KEYS = [f"{FOLDER}/{name}" for name in ("SHA256SUMS", "a.bin", "manifest.json", "z/b.bin")]


class Interrupted(Store):
    """A store that fails after so many requests of tags."""

    def __init__(self, source: Source, requests: int) -> None:
        super().__init__(source)
        self._left = requests

    def _set_tags(self, *arguments: Any) -> None:
        if not self._left:
            raise CatalogError("interrupted")
        self._left -= 1
        super()._set_tags(*arguments)


@pytest.fixture
def source(bucket: MotoBucket) -> Source:
    for key in KEYS:
        bucket.put(key, b"x")
    bucket.put("my-model-1.0.0-rc.1/manifest.json", b"x")
    moto_s3.tag(bucket, KEYS[1], {"team": "ml"})
    return Source(bucket=bucket.name, endpoint_url=bucket.url, region="us-east-1")


def tagged(store: Store) -> list[str]:
    return [key for key in KEYS if store.tags(key).get("state") == "expired"]


def test_all_objects_get_the_tag_and_lose_it_and_keep_their_others(source: Source) -> None:
    store = Store(source)
    tag_version(store, FOLDER, TAG)
    assert tagged(store) == KEYS
    assert store.tags(KEYS[1]) == {"state": "expired", "team": "ml"}
    assert has_tag(store, FOLDER, TAG)
    assert is_completely_tagged(store, FOLDER, TAG)
    untag_version(store, FOLDER, TAG)
    assert [store.tags(key) for key in KEYS] == [{}, {"team": "ml"}, {}, {}]
    assert store.tags("my-model-1.0.0-rc.1/manifest.json") == {}


def test_a_tag_with_another_value_is_somebody_elses(bucket: MotoBucket, source: Source) -> None:
    store = Store(source)
    moto_s3.tag(bucket, KEYS[2], {"state": "archived"})
    assert not has_tag(store, FOLDER, TAG)
    untag_version(store, FOLDER, TAG)
    assert store.tags(KEYS[2]) == {"state": "archived"}


@pytest.mark.parametrize("change", [tag_version, untag_version])
@pytest.mark.parametrize("requests", range(len(KEYS)))
def test_after_an_interruption_the_version_counts_as_tagged_while_an_object_has_the_tag(
    source: Source, change: Callable[[Store, str, str], None], requests: int
) -> None:
    store = Store(source)
    if change is untag_version:
        tag_version(store, FOLDER, TAG)
    with pytest.raises(CatalogError, match="interrupted"):
        change(Interrupted(source, requests), FOLDER, TAG)
    assert has_tag(store, FOLDER, TAG) == bool(tagged(store))
    assert not (has_tag(store, FOLDER, TAG) and is_completely_tagged(store, FOLDER, TAG)) or len(tagged(store)) == 4
    change(store, FOLDER, TAG)
    assert tagged(store) == (KEYS if change is tag_version else [])


def test_what_is_tagged_already_is_not_written(source: Source) -> None:
    tag_version(Store(source), FOLDER, TAG)
    tag_version(Interrupted(source, 0), FOLDER, TAG)


def test_without_a_manifest_it_is_unknown(source: Source) -> None:
    with pytest.raises(NotFound):
        has_tag(Store(source), "my-model-2.0.0", TAG)
