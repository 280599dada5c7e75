"""Aliases, and many who write them at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.catalog.conftest import PREFIX, Read, aliased, published
from tests.support.faults import NO_ETAGS, SLOW_DOWN, Request, s3_error
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.errors import CatalogError, Denied, PreconditionFailed
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.aliases import change
from webhook.catalog.resolution import UnknownVersion


def is_alias_write(request: Request) -> bool:
    return request.method == "PUT" and ".aliases/" in request.key


def stored(store: Store) -> dict[str, str]:
    found: dict[str, str] = json.loads(store.read(".aliases/my-model.json", 10**6).body)
    return found


def test_an_alias_means_the_version_that_it_was_set_to_last(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    published(store, tmp_path / "m", "2.0.0")
    aliased(store, "my-model", champion="1.2.3", challenger="2.0.0")
    reader = read()
    assert reader.version("@champion") == "1.2.3"
    aliased(store, "my-model", champion="2.0.0")
    reader.refresh()
    assert reader.version("@champion") == reader.version("@challenger") == "2.0.0"


def test_an_alias_of_a_store_without_etags_is_read_again(bucket: MotoBucket, proxy: FaultyProxy, read: Read) -> None:
    proxy.inject(NO_ETAGS, lambda _: True)
    bucket.put(f"{PREFIX}/my-model-1.2.3/weights.bin", b"w")
    bucket.put(f"{PREFIX}/my-model-2.0.0/weights.bin", b"w")
    reader = read()
    for version in ("1.2.3", "2.0.0"):
        bucket.put(f"{PREFIX}/.aliases/my-model.json", json.dumps({"champion": version}).encode())
        reader.refresh()
        assert reader.version("@champion") == version


def test_of_many_writers_at_once_none_is_lost(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: aliased(store, "my-model", **{f"alias-{number}": "1.2.3"}), range(40)))
    assert stored(store) == {f"alias-{number}": "1.2.3" for number in range(40)}


def test_a_write_in_between_is_read_again_and_kept(store: Store) -> None:
    aliased(store, "my-model", champion="1.2.3")
    met: list[dict[str, str]] = []

    def edit(held: dict[str, str]) -> None:
        if not met:
            aliased(store, "my-model", other="9.9.9")
        met.append(dict(held))
        held["champion"] = "2.0.0"

    change(store, "my-model", edit)
    assert met == [{"champion": "1.2.3"}, {"champion": "1.2.3", "other": "9.9.9"}]
    assert stored(store) == {"champion": "2.0.0", "other": "9.9.9"}


@pytest.mark.parametrize("fault", [SLOW_DOWN, s3_error(409, "ConditionalRequestConflict", "again")])
def test_a_store_that_stumbles_is_asked_again(store: Store, proxy: FaultyProxy, fault: object) -> None:
    proxy.inject(fault, is_alias_write, times=3)  # type: ignore[arg-type]
    aliased(store, "my-model", champion="1.2.3")
    assert stored(store) == {"champion": "1.2.3"}


def test_a_writer_that_never_gets_through_says_so(
    store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.catalog.publishing.changing._PATIENCE_SECONDS", 0.2)
    proxy.inject(s3_error(412, "PreconditionFailed", "no"), is_alias_write)
    with pytest.raises(PreconditionFailed):
        aliased(store, "my-model", champion="1.2.3")


def test_who_may_not_write_hears_it_at_once(store: Store, proxy: FaultyProxy) -> None:
    proxy.inject(s3_error(403, "AccessDenied", "Access Denied"), is_alias_write)
    with pytest.raises(Denied, match="AccessDenied"):
        aliased(store, "my-model", champion="1.2.3")
    assert proxy.count(is_alias_write) == 1


def test_what_changes_nothing_is_not_written(store: Store, proxy: FaultyProxy) -> None:
    aliased(store, "my-model", champion="1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    assert proxy.count(is_alias_write) == 1


def test_aliases_that_someone_spoiled_are_not_written_over(store: Store) -> None:
    store.write(".aliases/my-model.json", b'{"champion": "^1.2"}')
    with pytest.raises(CatalogError, match="champion"):
        aliased(store, "my-model", other="1.2.3")


def test_spoiled_aliases_take_down_no_others(store: Store, read: Read, tmp_path: Path) -> None:
    for model in ("good", "bad"):
        published(store, tmp_path / "m", "1.2.3", model=model)
        aliased(store, model, champion="1.2.3")
    reader = read()
    store.write(".aliases/bad.json", b"{")
    reader.refresh()
    assert reader.version("@champion", "good") == reader.version("@champion", "bad") == "1.2.3"
    assert "aliases are a JSON object" in reader.catalog.status("default").problem


def test_an_alias_that_is_not_there_is_refused_with_those_that_are(store: Store, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    with pytest.raises(UnknownVersion, match="no alias @challenger; it has @champion"):
        read(preflight="off").resolve("@challenger")


def test_aliases_that_stay_the_same_are_read_once(store: Store, proxy: FaultyProxy, read: Read, tmp_path: Path) -> None:
    published(store, tmp_path / "m", "1.2.3")
    aliased(store, "my-model", champion="1.2.3")
    aliased(store, "other", champion="1.2.3")
    reader = read()
    proxy.requests.clear()
    reader.refresh()
    assert not [request for request in proxy.requests if request.is_download()]
    aliased(store, "my-model", champion="1.2.4")
    proxy.requests.clear()
    reader.refresh()
    assert [request.key.rpartition("/")[2] for request in proxy.requests if request.is_download()] == ["my-model.json"]
