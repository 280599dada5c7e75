"""Which way is recommended in which situation, and why the others are not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.advice.situations import GIB, MIB, situation
from webhook.advice.recommend import RankedWay, recommend
from webhook.advice.situation import Names, Situation
from webhook.advice.ways import WAYS

TRIDENT = ("csi.trident.netapp.io",)
EFS = ("efs.csi.aws.com",)
NODE_CACHE = ("csi.model-injector.io",)
MOUNTPOINT = ("s3.csi.aws.com",)
PRICES = {"bucket": 0.02, "registry": 0.1, "file-system": 0.2, "snapshot": 0.05, "node-disk": 0.08}

SITUATIONS: list[tuple[str, dict[str, Any]]] = [
    ("s3-init", {}),
    ("s3-init", {"bytes": 140 * GIB, "target_seconds": 3600}),
    ("s3-init", {"coupling": "tight"}),  # too large for the target inside an image
    ("s3-mount", {"bytes": 60 * GIB}),
    ("s3-mount", {"bytes": 60 * GIB, "csi_drivers": MOUNTPOINT}),
    ("shared-volume", {"bytes": 60 * GIB, "target_seconds": 180, "csi_drivers": TRIDENT}),
    ("volume", {"bytes": 60 * GIB, "target_seconds": 180, "csi_drivers": EFS}),
    ("volume", {"connectivity": "registry"}),  # a cold pull of an image is too slow
    ("node-image", {"connectivity": "none"}),
    ("node-image", {"target_seconds": 20, "bytes": 5 * GIB, "csi_drivers": (), "versions_a_month": 0}),
    ("oci-image", {"connectivity": "registry", "target_seconds": 300}),
    ("oci-image", {"connectivity": "registry", "target_seconds": 300, "kubernetes_minor": 35}),
    ("oci-image", {"bytes": 140 * GIB, "csi_drivers": (), "target_seconds": 60}),  # on warm nodes
    ("node-cache", {"bytes": 140 * GIB, "csi_drivers": NODE_CACHE, "target_seconds": 60, "kubernetes_minor": 34}),
    ("application-image", {"bytes": 200 * MIB, "coupling": "tight"}),
    (
        "application-image",
        {"connectivity": "registry", "target_seconds": 300, "kubernetes_minor": 34, "csi_drivers": ()},
    ),
    ("application-image", {"bytes": 200 * MIB, "coupling": "tight", "platform": "docker"}),
    ("application-image", {"platform": "docker", "connectivity": "none"}),
    ("pulled-folder", {"platform": "docker"}),
    ("pulled-folder", {"platform": "docker", "environment": "development", "replicas": 2}),  # two hosts
    ("bind-mount", {"platform": "docker", "environment": "development"}),
]


def by_name(found: Situation) -> dict[str, RankedWay]:
    return {way.name: way for way in recommend(found, Names()).ways}


@pytest.mark.parametrize(("name", "changes"), SITUATIONS)
def test_a_situation_has_its_way(name: str, changes: dict[str, Any]) -> None:
    found = recommend(situation(**changes), Names())
    assert found.recommended == found.ways[0].name == name
    assert found.ways[0].excluded is None
    assert found.ways[0].why_not is None
    assert found.reasons
    assert all(way.why_not for way in found.ways[1:])


def test_every_way_is_recommended_somewhere() -> None:
    assert {name for name, _ in SITUATIONS} == {way.name for way in WAYS}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("s3-init", {"connectivity": "registry"}, "cannot reach S3 (--connectivity registry)"),
        ("s3-init", {"connectivity": "none"}, "cannot reach S3"),
        ("s3-init", {"platform": "docker"}, "a way of Kubernetes"),
        ("s3-mount", {"connectivity": "registry"}, "cannot reach S3"),
        ("s3-mount", {"csi_drivers": EFS}, "no CSI driver s3.csi.aws.com: install"),
        ("shared-volume", {"connectivity": "registry"}, "the Job that loads the volume cannot reach S3"),
        ("shared-volume", {"csi_drivers": ("ebs.csi.aws.com",)}, "ReadWriteMany"),
        ("volume", {"connectivity": "none"}, "cannot reach a file system"),
        ("volume", {"csi_drivers": TRIDENT}, "efs.csi.aws.com"),
        ("oci-image", {"connectivity": "none"}, "cannot reach a registry"),
        ("oci-image", {"kubernetes_minor": 34}, "from Kubernetes 1.35 on, and the cluster has 1.34"),
        ("application-image", {"connectivity": "none"}, "cannot reach a registry"),
        ("application-image", {"bytes": 60 * GIB}, "--layer-limit"),
        ("pulled-folder", {}, "a way of Docker"),
        ("pulled-folder", {"platform": "docker", "connectivity": "registry"}, "the host cannot reach S3"),
        ("bind-mount", {"platform": "docker"}, "--environment development"),
        ("bind-mount", {"platform": "docker", "environment": "development", "replicas": 2}, "one host"),
    ],
)
def test_an_impossible_way_is_among_the_last_with_its_reason(name: str, changes: dict[str, Any], reason: str) -> None:
    ways = recommend(situation(**changes), Names()).ways
    way = next(way for way in ways if way.name == name)
    assert reason in (way.excluded or "")
    assert way.why_not == way.excluded
    assert all(later.excluded for later in ways[ways.index(way) :])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("s3-mount", {"csi_drivers": MOUNTPOINT}),
        ("shared-volume", {"csi_drivers": ("rook-ceph.cephfs.csi.ceph.com",)}),
        ("volume", {"csi_drivers": ("fsx.openzfs.csi.aws.com",), "connectivity": "registry"}),
        ("oci-image", {"kubernetes_minor": 35}),
        ("application-image", {"bytes": 60 * GIB, "layer_limit": 100 * GIB}),
        ("application-image", {"bytes": 60 * GIB, "platform": "docker", "connectivity": "none"}),
        ("node-image", {"connectivity": "none"}),
    ],
)
def test_a_way_is_possible_where_it_has_what_it_needs(name: str, changes: dict[str, Any]) -> None:
    assert by_name(situation(**changes))[name].excluded is None


def test_nothing_may_be_possible() -> None:
    found = recommend(situation(platform="docker", connectivity="registry", bytes=60 * GIB), Names())
    assert found.recommended is None
    assert all(way.excluded for way in found.ways)


@pytest.mark.parametrize(
    ("name", "cold", "warm"),
    [
        ("s3-init", 8 * 8, 8),  # eight copies of 1 GiB to one disk of 128 MiB/s
        ("s3-mount", 8 * 4, 4),  # eight reads over one network of 256 MiB/s
        ("volume", 16 * 2, 4),  # sixteen reads from 512 MiB/s, and one over 256 MiB/s
        ("shared-volume", 16 * 2, 4),
        ("oci-image", 3 * 8, 0),  # three passes over the disk
        ("application-image", 3 * 8, 0),
        ("node-image", 10, 0),
    ],
)
def test_a_start_takes_what_its_bottleneck_lets_pass(name: str, cold: int, warm: int) -> None:
    figures = {
        "node_bandwidth": 256 * MIB,
        "disk_bandwidth": 128 * MIB,
        "shared_bandwidth": 512 * MIB,
        "snapshot_rate": 103 * MIB,
        "image_passes": 3,
    }
    way = by_name(situation(bytes=GIB, replicas=16, replicas_per_node=8, **figures))[name]
    assert (way.cold_seconds, way.warm_seconds) == (cold, warm)
    assert way.cold_seconds == -(-way.bottleneck_bytes // way.bottleneck_bytes_per_second)


def test_a_slow_network_is_the_bottleneck_of_a_download_and_of_a_pull() -> None:
    ways = by_name(situation(bytes=GIB, node_bandwidth=16 * MIB))
    assert ways["s3-init"].cold_seconds == ways["oci-image"].cold_seconds == 64
    assert {ways["s3-init"].bottleneck, ways["oci-image"].bottleneck} == {"the node's network"}


def test_what_is_transferred_and_stored_follows_from_copies() -> None:
    ways = by_name(situation(bytes=GIB, replicas=6, replicas_per_node=3, versions_kept=4))
    assert ways["s3-init"].transfer_bytes == 6 * GIB
    assert ways["oci-image"].transfer_bytes == 2 * GIB
    assert ways["s3-init"].gb_months == {"bucket": 4, "node-disk": 6}
    assert ways["s3-mount"].gb_months == {"bucket": 4}
    assert ways["volume"].gb_months == ways["shared-volume"].gb_months == {"bucket": 4, "file-system": 4}
    assert ways["oci-image"].gb_months == {"bucket": 4, "registry": 4, "node-disk": 4}
    assert ways["node-image"].gb_months == {"bucket": 4, "snapshot": 4, "node-disk": 2}


def test_a_cost_is_prices_times_storage_and_absent_without_each_price() -> None:
    ways = by_name(situation(bytes=100 * GIB, versions_kept=1, prices={"bucket": 0.02, "node-disk": 0.5}))
    assert ways["s3-mount"].cost == 2
    assert ways["s3-init"].cost == 52
    assert ways["oci-image"].cost is None


def test_costs_decide_between_ways_with_the_same_number_of_steps() -> None:
    same: dict[str, Any] = {"connectivity": "registry", "versions_a_month": 0, "target_seconds": 300, "csi_drivers": ()}
    without, costs = recommend(situation(**same), Names()), recommend(situation(**same, prices=PRICES), Names())
    first, second = without.ways[:2]
    assert (first.name, second.name) == ("oci-image", "application-image")
    assert first.steps_in_first_year == second.steps_in_first_year
    assert [way.name for way in costs.ways[:2]] == ["application-image", "oci-image"]
    assert "a month, and" in (costs.ways[1].why_not or "")
    assert "not compared" in without.reasons[-1]


def test_more_updates_cost_more_steps() -> None:
    few, many = by_name(situation(versions_a_month=0)), by_name(situation(versions_a_month=0.25))
    for name, way in few.items():
        assert way.steps_in_first_year == len(way.setup) + len(way.each_version)
        assert many[name].steps_in_first_year == len(way.setup) + 4 * len(way.each_version)


def test_tight_coupling_makes_the_application_image_easier_and_other_ways_harder() -> None:
    loose, tight = by_name(situation()), by_name(situation(coupling="tight"))
    for name in ("s3-init", "s3-mount", "volume", "shared-volume", "oci-image", "node-image"):
        assert len(tight[name].each_version) == len(loose[name].each_version) + 1
    assert len(tight["application-image"].each_version) < len(loose["application-image"].each_version)


@pytest.mark.parametrize(("target", "meets"), [(115, "always"), (114, "never"), (1, "never")])
def test_a_download_meets_a_target_always_or_never(target: int, meets: str) -> None:
    assert by_name(situation(target_seconds=target))["s3-init"].meets_target == meets


def test_an_image_meets_a_target_on_warm_nodes() -> None:
    found = recommend(situation(target_seconds=1, connectivity="registry", csi_drivers=()), Names())
    assert (found.recommended, found.ways[0].meets_target) == ("oci-image", "warm")
    assert "where a replica has started before" in found.reasons[0]


SITUATION = st.builds(
    situation,
    bytes=st.integers(1, 1 << 50),
    versions_a_month=st.floats(0, 1000),
    replicas=st.integers(8, 100_000),
    replicas_per_node=st.integers(1, 8),
    target_seconds=st.integers(1, 7 * 24 * 3600),
    coupling=st.sampled_from(["loose", "tight"]),
    connectivity=st.sampled_from(["s3", "registry", "none"]),
    platform=st.sampled_from(["kubernetes", "docker"]),
    environment=st.sampled_from(["production", "development"]),
    node_bandwidth=st.integers(1, 1 << 40),
    disk_bandwidth=st.integers(1, 1 << 40),
    image_passes=st.integers(1, 10),
    kubernetes_minor=st.sampled_from([None, 34, 35]),
    csi_drivers=st.sampled_from([None, (), TRIDENT, EFS, MOUNTPOINT]),
    prices=st.sampled_from([{}, PRICES]),
)
MEETS = ("never", "warm", "always")


@settings(max_examples=25)
@given(SITUATION, st.integers(1, 1 << 50))
def test_a_larger_model_makes_no_figure_smaller(small: Situation, more: int) -> None:
    before = by_name(small)
    for name, way in by_name(_replaced(small, bytes=small.bytes + more)).items():
        assert way.cold_seconds >= before[name].cold_seconds
        assert way.warm_seconds >= before[name].warm_seconds
        assert way.transfer_bytes >= before[name].transfer_bytes
        assert (way.cost or 0) >= (before[name].cost or 0)


@settings(max_examples=25)
@given(SITUATION, st.integers(1, 7 * 24 * 3600))
def test_a_lower_target_meets_no_more(found: Situation, target: int) -> None:
    lower, higher = sorted((target, found.target_seconds))
    before = by_name(_replaced(found, target_seconds=higher))
    for name, way in by_name(_replaced(found, target_seconds=lower)).items():
        assert MEETS.index(way.meets_target) <= MEETS.index(before[name].meets_target)


@settings(max_examples=25)
@given(SITUATION)
def test_every_way_has_one_place_that_follows_from_the_criteria(found: Situation) -> None:
    ways = recommend(found, Names()).ways
    assert sorted(way.name for way in ways) == sorted(way.name for way in WAYS)
    possible = [way for way in ways if way.excluded is None]
    assert list(ways[: len(possible)]) == possible
    keys = [(-MEETS.index(way.meets_target), way.steps_in_first_year) for way in possible]
    assert keys == sorted(keys)
    for way in ways:
        assert 0 <= way.warm_seconds <= way.cold_seconds


def _replaced(found: Situation, **changes: Any) -> Situation:
    return situation(**{**{name: getattr(found, name) for name in found.__struct_fields__}, **changes})
