"""The passes of a replica against a cluster that others change at the worst moments."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from certs import Authority, AutoSource, ServingCertificate, parse_bundle, verification_error
from certs.cluster import ClusterObjects, Snapshot
from certs.errors import ObjectChanged, ObjectNotFound
from certs.rotation import Authorities
from webhook.kubernetes.client import ClusterError

HOST = "model-injector.model-injector.svc"


class FakeCluster(ClusterObjects):
    """A cluster in memory. `before` is called with the name of each call, and may change things, or raise."""

    def __init__(self, *entries: str) -> None:
        self.secret: dict[str, bytes] | None = None
        self.bundles = dict.fromkeys(entries or ("pods", "others"), b"")
        self.versions = {"secret": 1, "bundles": 1}
        self.time = datetime(2030, 1, 1, tzinfo=UTC)
        self.calls: list[str] = []
        self.before: Callable[[str], object] = lambda _: None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def now(self) -> datetime:
        return self.time

    def read_secret(self) -> Snapshot:
        self._called("read_secret")
        if self.secret is None:
            raise ObjectNotFound("no Secret")
        return Snapshot(dict(self.secret), str(self.versions["secret"]))

    def create_secret(self) -> None:
        self._called("create_secret")
        self.secret = self.secret or {}

    def write_secret(self, read: Snapshot, data: Mapping[str, bytes]) -> None:
        self._called("write_secret")
        self._guard("secret", read)
        self.secret = dict(data)

    def read_bundles(self) -> Snapshot:
        self._called("read_bundles")
        return Snapshot(dict(self.bundles), str(self.versions["bundles"]))

    def write_bundles(self, read: Snapshot, bundle: bytes) -> None:
        self._called("write_bundles")
        self._guard("bundles", read)
        self.bundles = dict.fromkeys(self.bundles, bundle)

    def _guard(self, name: str, read: Snapshot) -> None:
        if read.version != str(self.versions[name]):
            raise ObjectChanged(name)
        self.versions[name] += 1

    @property
    def held(self) -> Authorities:
        assert self.secret is not None
        return Authorities.parse(self.secret)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock that replicas wait by: its only entry."""
    time = [0.0]
    monkeypatch.setattr("certs.source.monotonic", lambda: time[0])
    return time


def replica(cluster: ClusterObjects) -> AutoSource:
    days = timedelta(days=1)
    return AutoSource(
        cluster,
        [HOST],
        ca_lifetime=90 * days,
        leaf_lifetime=7 * days,
        overlap=timedelta(seconds=60),
        interval=timedelta(seconds=2),
    )


def refresh(auto: AutoSource) -> ServingCertificate:
    state = auto.refresh()
    assert state.problem is None
    assert state.leaf
    return state.leaf


def issuer(leaf: ServingCertificate, *authorities: Authority | None) -> int:
    """Which of the authorities has signed a leaf."""
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    for index, authority in enumerate(authorities):
        try:
            assert authority
            certificate.verify_directly_issued_by(authority.parsed)
        except Exception:  # noqa: BLE001, S112 - any other one
            continue
        return index
    raise AssertionError("of none of them")


def due(cluster: FakeCluster) -> None:
    cluster.time += timedelta(days=61)


def test_a_new_authority_signs_only_after_every_entry_has_had_it_for_the_overlap(
    cluster: FakeCluster, monotonic: list[float]
) -> None:
    auto = replica(cluster)
    refresh(auto)
    old = cluster.held.signing
    due(cluster)
    refresh(auto)
    new = cluster.held.upcoming
    assert new
    assert issuer(refresh(auto), old, new) == 0
    monotonic[0] += 59
    assert issuer(refresh(auto), old, new) == 0
    right = cluster.bundles["others"]
    cluster.bundles["others"] = old.certificate if old else b""  # one of two is set back: the wait begins again
    monotonic[0] += 2
    assert issuer(refresh(auto), old, new) == 0
    assert cluster.bundles["others"] == right
    refresh(auto)
    monotonic[0] += 59
    assert issuer(refresh(auto), old, new) == 0
    monotonic[0] += 2
    assert issuer(refresh(auto), old, new) == 1
    assert cluster.held.signing == new
    assert set(cluster.secret or ()) == {"ca.crt", "tls.crt", "tls.key"}


def test_in_between_nothing_is_written(cluster: FakeCluster, monotonic: list[float]) -> None:
    auto = replica(cluster)
    refresh(auto)
    due(cluster)
    refresh(auto)
    refresh(auto)
    monotonic[0] += 61
    refresh(auto)
    for _ in range(3):
        cluster.calls.clear()
        refresh(auto)
        assert cluster.calls == ["read_bundles", "read_secret"]


def test_a_replica_with_an_old_view_does_not_put_an_old_bundle_back(
    cluster: FakeCluster, monotonic: list[float]
) -> None:
    """Whatever others do, between whichever two of its calls."""
    slow, fast = replica(cluster), replica(cluster)
    refresh(slow)
    for name in ("read_bundles", "read_secret", "write_secret", "write_bundles"):
        due(cluster)
        done: list[str] = []

        def interfere(called: str, name: str = name, done: list[str] = done) -> None:
            if called == name and not done:
                done.append(name)
                refresh(fast)

        cluster.before = interfere
        refresh(slow)
        cluster.before = lambda _: None
        held = cluster.held
        assert held.upcoming
        for bundle in cluster.bundles.values():
            assert held.upcoming.parsed in parse_bundle(bundle)
            assert held.signing
            assert held.signing.parsed in parse_bundle(bundle)
        refresh(slow), refresh(fast)
        monotonic[0] += 61
        refresh(slow)
        assert cluster.held.upcoming is None


def test_what_the_entries_have_is_known_even_where_the_secret_is_not(cluster: FakeCluster) -> None:
    auto = replica(cluster)
    leaf = refresh(auto)

    def forbid(called: str) -> None:
        if called == "read_secret":
            raise ClusterError("forbidden")

    cluster.before = forbid
    cluster.bundles = {"pods": Authority.create(now=cluster.time).certificate}
    state = auto.refresh()
    assert state.problem == "forbidden"
    assert state.leaf == leaf
    assert state.bundles
    assert "does not verify" in str(verification_error(leaf, state.bundles[0], HOST, cluster.time))


def test_writes_of_others_without_end_are_given_up_until_the_next_look(cluster: FakeCluster) -> None:
    def interfere(called: str) -> Any:
        if called == "write_secret":
            cluster.versions["secret"] += 1

    cluster.before = interfere
    assert "changed during each of 5 attempts" in str(replica(cluster).refresh().problem)


@pytest.mark.parametrize("key", ["ca.crt", "tls.crt", "tls.key"])
def test_a_secret_with_one_byte_changed_anywhere_is_healed(key: str, monotonic: list[float]) -> None:
    pristine = FakeCluster()
    refresh(replica(pristine))
    assert pristine.secret
    content = pristine.secret[key]
    for place in range(28, len(content) - 27, 11):
        cluster = FakeCluster()
        cluster.bundles = dict(pristine.bundles)
        cluster.secret = {**pristine.secret, key: content[:place] + b"A" + content[place + 1 :]}
        auto = replica(cluster)
        auto.refresh()
        auto.refresh()
        monotonic[0] += 61
        leaf = refresh(auto)
        for bundle in cluster.bundles.values():
            assert verification_error(leaf, bundle, HOST, cluster.time) is None


def test_a_lost_secret_costs_seconds_if_no_replica_survives(cluster: FakeCluster, monotonic: list[float]) -> None:
    old = refresh(replica(cluster))
    cluster.secret = None
    late = replica(cluster)
    assert late.refresh().leaf is None
    monotonic[0] += 1
    assert late.refresh().leaf is None  # from now on, the new authority is in all caBundles
    monotonic[0] += 3
    assert late.refresh().leaf is None
    monotonic[0] += 1
    leaf = refresh(late)
    assert cluster.held.served_at == b""
    bundle = cluster.bundles["pods"]
    assert [verification_error(served, bundle, HOST, cluster.time) for served in (old, leaf)] == [None, None]


def test_a_lost_secret_costs_nothing_if_a_replica_survives(
    cluster: FakeCluster, monotonic: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    survivor = replica(cluster)
    old = refresh(survivor)
    cluster.secret = None
    caplog.set_level("INFO")
    late = replica(cluster)
    for _ in range(30):  # a minute, in which both refresh every two seconds
        assert late.refresh().leaf is None
        assert refresh(survivor) == old
        monotonic[0] += 2
        cluster.time += timedelta(seconds=2)
    assert refresh(survivor) != old
    refresh(late)
    assert "served-at" not in (cluster.secret or {})
    changes = [record for record in caplog.records if record.message == "authorities changed"]
    assert len(changes) == 2  # the new authority is made, and signs; the reports in between are no changes


def test_a_survivor_that_ends_is_not_waited_for(cluster: FakeCluster, monotonic: list[float]) -> None:
    survivor = replica(cluster)
    refresh(survivor)
    cluster.secret = None
    late = replica(cluster)
    for _ in range(5):
        assert late.refresh().leaf is None
        refresh(survivor)
        monotonic[0] += 2
        cluster.time += timedelta(seconds=2)
    assert late.refresh().leaf is None
    monotonic[0] += 4
    refresh(late)


def test_a_rotation_waits_for_the_whole_overlap_although_nobody_reports(
    cluster: FakeCluster, monotonic: list[float]
) -> None:
    auto = replica(cluster)
    refresh(auto)
    due(cluster)
    refresh(auto)
    refresh(auto)
    monotonic[0] += 59
    assert issuer(refresh(auto), cluster.held.upcoming, cluster.held.signing) == 1
