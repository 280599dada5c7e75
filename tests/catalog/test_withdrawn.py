"""Versions that were withdrawn: no pod gets them any more."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.admission.conftest import asking
from tests.admission.test_pinning import asking as workload_asking
from tests.admission.test_pinning import edited, restarted
from tests.catalog.conftest import PREFIX, Read, aliased, folder_of, published
from tests.catalog.webhook import DEPLOYMENT, applied, ask, created, version_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.moto_s3 import MotoBucket
from tests.support.polling import until
from tests.support.reviews import pod_of
from tests.support.webhook import Webhook
from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import parse_withdrawals
from webhook.catalog.publishing.withdrawals import undo, withdraw
from webhook.catalog.resolution import UnknownVersion, VersionKey, Withdrawn
from webhook.controller.catalog import CatalogReader
from webhook.settings.controller import Load

REASON = "a wrong tokenizer"


def copied(bucket: MotoBucket, *versions: str) -> None:
    """Versions as they are copied by hand."""
    for version in versions:
        bucket.put(f"{PREFIX}/my-model-{version}/weights.bin", b"w")


@pytest.mark.parametrize("preflight", ["off", "warn", "enforce"])
def test_whatever_means_a_withdrawn_version_is_refused_from_the_next_listing_on(
    store: Store, bucket: MotoBucket, read: Read, preflight: str
) -> None:
    copied(bucket, "1.2.3", "1.1.0")
    aliased(store, "my-model", champion="1.2.3")
    reader = read(preflight=preflight)
    assert reader.version("1.2.3") == reader.version("@champion") == "1.2.3"
    at = withdraw(store, "my-model", "1.2.3", REASON).at
    assert reader.version("1.2.3") == "1.2.3"
    reader.refresh()
    why = f"my-model 1.2.3 was withdrawn at {at:%Y-%m-%d %H:%M:%SZ}: a wrong tokenizer; "
    with pytest.raises(Withdrawn, match=f"^{why}ask for another version$"):
        reader.resolve("1.2.3")
    with pytest.raises(Withdrawn, match=f"^{why}.*set the alias @champion"):
        reader.resolve("@champion")
    pinned = msgspec.structs.replace(reader.request("^1"), pinned_version="1.2.3")
    with pytest.raises(Withdrawn, match=rf"^{why}.*restart its rollout to resolve '\^1' again"):
        reader.catalog.resolve(pinned)
    assert reader.version("1.1.0") == "1.1.0"
    undo(store, "my-model", "1.2.3")
    reader.refresh()
    assert reader.version("1.2.3") == reader.version("@champion") == "1.2.3"


def test_a_refusal_needs_no_lookup_and_no_s3(store: Store, bucket: MotoBucket, proxy: FaultyProxy, read: Read) -> None:
    copied(bucket, "1.2.3")
    withdraw(store, "my-model", "1.2.3", REASON)
    reader = read()
    reader.catalog.listing_failed("default", "unreachable")
    proxy.requests.clear()
    with pytest.raises(Withdrawn):
        reader.catalog.resolve(reader.request("1.2.3"))
    assert proxy.requests == []


def test_ranges_and_latest_mean_the_newest_that_is_not_withdrawn(store: Store, bucket: MotoBucket, read: Read) -> None:
    versions = [f"1.{number}.0" for number in range(30)]
    copied(bucket, *versions)
    for version in versions[5:]:
        withdraw(store, "my-model", version, REASON)
    reader = read()
    assert {reader.version(reference) for reference in ("latest", "^1", ">=1.2 <1.20")} == {"1.4.0"}
    with pytest.raises(Withdrawn, match=r"in '>=1\.5' that is not withdrawn; 1\.29\.0 was withdrawn at .*: a w"):
        reader.resolve(">=1.5")
    with pytest.raises(UnknownVersion, match=r"no version in '\^2'; the newest are 1\.4\.0, 1\.3\.0, 1\.2\.0"):
        reader.resolve("^2")


def test_no_suggestion_is_withdrawn(store: Store, bucket: MotoBucket, read: Read) -> None:
    copied(bucket, "1.2.3", "1.2.4")
    withdraw(store, "my-model", "1.2.4", REASON)
    reader = read(preflight="enforce")
    with pytest.raises(UnknownVersion, match=r"nearest are 1\.2\.3; newest is 1\.2\.3$"):
        reader.resolve("1.2.5")
    withdraw(store, "my-model", "1.2.3", REASON)
    reader.refresh()
    with pytest.raises(UnknownVersion, match=r"all that it has are withdrawn$"):
        reader.resolve("1.2.5")


def test_a_version_that_is_looked_up_since_the_listing_changes_nothing(
    store: Store, bucket: MotoBucket, read: Read
) -> None:
    copied(bucket, "1.2.3")
    withdraw(store, "my-model", "1.2.3", REASON)
    reader = read()
    copied(bucket, "2.0.0")
    assert reader.version("^2") == "2.0.0"  # lists the model anew
    with pytest.raises(Withdrawn):
        reader.resolve("1.2.3")


def test_withdrawals_that_stay_the_same_are_read_once(
    store: Store, bucket: MotoBucket, proxy: FaultyProxy, read: Read
) -> None:
    copied(bucket, "1.2.3")
    for model in ("my-model", "my-org/other"):
        withdraw(store, model, "1.2.3", REASON)
    reader = read()
    proxy.requests.clear()
    reader.refresh()
    assert not [request for request in proxy.requests if request.is_download()]
    withdraw(store, "my-org/other", "2.0.0", REASON)
    proxy.requests.clear()
    reader.refresh()
    assert [request.key.rpartition("/")[2] for request in proxy.requests if request.is_download()] == ["other.json"]


def test_spoiled_withdrawals_keep_those_that_were_read(store: Store, bucket: MotoBucket, read: Read) -> None:
    copied(bucket, "1.2.3")
    withdraw(store, "my-model", "1.2.3", REASON)
    reader = read()
    store.write(".withdrawn/my-model.json", b"{")
    reader.refresh()
    with pytest.raises(Withdrawn):
        reader.resolve("1.2.3")
    assert "withdrawals are a JSON object" in reader.catalog.status("default").problem


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        ("^1.2", {}),
        ("1.2.3", {"reason": ""}),
        ("1.2.3", {"reason": "a\nb"}),
        ("1.2.3", {"reason": "a" * 301}),
        ("1.2.3", {"at": "2026-05-01T10:00:00"}),
        ("1.2.3", {"at": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_what_is_no_withdrawal_is_not_taken(version: str, changed: Mapping[str, str]) -> None:
    withdrawal = {"reason": "a" * 300, "at": "2026-05-01T10:00:00Z"}
    assert parse_withdrawals(json.dumps({"1.2.3": withdrawal}).encode())["1.2.3"].reason == "a" * 300
    with pytest.raises(CatalogError):
        parse_withdrawals(json.dumps({version: {**withdrawal, **changed}}).encode())


def test_a_second_withdrawal_replaces_the_reason_and_keeps_the_time(store: Store) -> None:
    since = "2026-05-01T10:00:00Z"
    store.write(".withdrawn/my-model.json", json.dumps({"1.2.3": {"reason": "?", "at": since}}).encode())
    withdraw(store, "my-model", "1.2.3", REASON)
    assert json.loads(store.read(".withdrawn/my-model.json", 10**6).body) == {"1.2.3": {"reason": REASON, "at": since}}
    undo(store, "my-model", "1.2.3")
    with pytest.raises(UnknownVersion, match=r"my-model 1\.2\.3 is not withdrawn"):
        undo(store, "my-model", "1.2.3")


def test_a_withdrawn_version_is_not_published(store: Store, tmp_path: Path) -> None:
    withdraw(store, "my-model", "1.2.3", REASON)
    with pytest.raises(CatalogError, match=r"my-model 1\.2\.3 was withdrawn at .*: a wrong tokenizer; publish another"):
        published(store, folder_of(tmp_path / "m"), "1.2.3")
    assert not list(store.objects("my-model-1.2.3/"))


def test_the_controller_knows_what_is_withdrawn_and_its_age_also_of_models_that_it_does_not_load(
    store: Store, read: Read, tmp_path: Path
) -> None:
    for model, version in (("my-model", "1.1.0"), ("my-model", "1.2.3"), ("other", "7")):
        published(store, tmp_path / "m", version, model=model)
    for model, version in (("my-model", "1.2.3"), ("other", "7")):
        withdraw(store, model, version, REASON)
    loads = (Load(models=("my-model",), strategy="s3-mount"),)
    with closing(CatalogReader(read().settings.model_copy(update={"loads": loads}), expires=True)) as reader:
        known = reader.read()
    versions = known.sources["default"]["my-model"].versions
    assert {name: each.is_withdrawn for name, each in versions.items()} == {"1.1.0": False, "1.2.3": True}
    assert all(each.created_at for each in versions.values())
    assert dict(known.withdrawn) == {
        VersionKey("default", "my-model", "1.2.3"): REASON,
        VersionKey("default", "other", "7"): REASON,
    }


def test_replicas_of_a_pinned_workload_are_refused_until_its_rollout_is_restarted(
    ready: Callable[..., Webhook], store: Store, tmp_path: Path
) -> None:
    for version in ("1.1.0", "1.2.3"):
        published(store, tmp_path / "m", version)
    with ready().client() as client:
        deployment = applied(client, workload_asking(version="^1"))
        assert version_of(created(client, pod_of(deployment))) == "1.2.3"
        withdraw(store, "my-model", "1.2.3", REASON)
        until(lambda: not ask(client, pod_of(deployment))["response"]["allowed"])
        message = ask(client, pod_of(deployment))["response"]["status"]["message"]
        assert "a wrong tokenizer" in message

        changed = edited(deployment, **{"mount-path": "/models"})
        answer = ask(client, changed, kind=DEPLOYMENT, operation="UPDATE", oldObject=deployment)["response"]
        assert answer["allowed"]
        assert any("will be refused: my-model 1.2.3 was withdrawn" in warning for warning in answer["warnings"])

        rolled_out = applied(client, restarted(deployment, "2026-05-02T00:00:00Z"), deployment)
        assert version_of(created(client, pod_of(rolled_out))) == "1.1.0"
        assert version_of(created(client, asking(version="latest"))) == "1.1.0"
