"""Versions that a node fetches before a pod asks for them."""

from pathlib import Path
from typing import Any

import pytest

from tests.catalog.conftest import aliased
from tests.node_cache.conftest import SMALL, publish
from tests.node_cache.driver import Node, running_node
from tests.support.polling import until
from webhook.catalog.bucket.store import Store
from webhook.node_cache.report import NodeReport

FILES = {"weights.bin": b"w" * 100}


def has(node: Node) -> dict[str, bool]:
    """The versions in the cache, and whether they stay without pods."""
    report: NodeReport = node.report()
    return {each.version: each.is_kept for each in report.versions if each.total is None}


@pytest.fixture
def with_catalog(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "catalog": {"mode": "s3"}}


def test_a_node_has_what_the_settings_name_before_a_pod_asks(
    store: Store, with_catalog: dict[str, Any], tmp_path: Path
) -> None:
    for version in ("1.0.0", "1.0.1", "1.1.0", "2.0.0"):
        publish(store, tmp_path, {**FILES, "version": version.encode()}, version)
    aliased(store, "my-model", champion="1.0.0")
    prefetch = [
        {"models": ["my-*"], "versions": "@champion"},
        {"models": ["my-model"], "versions": "^1"},
        {"models": ["missing"], "versions": "latest"},
    ]
    with running_node({**with_catalog, "options": {"prefetch": prefetch}}) as node:
        until(lambda: has(node) == {"1.0.0": True, "1.1.0": True})
        until(lambda: any("missing" in line.get("problem", "") for line in node.log()))
        node.mount()
        assert node.metrics()["hits_total"] == 1


def test_a_node_fetches_what_the_alias_of_a_pod_means_next(
    store: Store, with_catalog: dict[str, Any], tmp_path: Path
) -> None:
    for version in ("1.0.0", "2.0.0"):
        publish(store, tmp_path, {**FILES, "version": version.encode()}, version)
    aliased(store, "my-model", champion="1.0.0")
    with running_node(with_catalog) as node:
        node.mount("by-alias", asked="@champion")
        node.mount("exact", version="1.0.0", asked="1.0.0")
        aliased(store, "my-model", champion="2.0.0")
        node.stop()
        node.start()  # it looks at once
        until(lambda: has(node) == {"1.0.0": False, "2.0.0": True})
        node.unmount("by-alias")
        node.stop()
        node.start()
        node.mount("later")
        assert has(node) == {"1.0.0": False, "2.0.0": False}


def test_without_a_catalog_nothing_is_fetched_in_advance(node: Node) -> None:
    node.mount(asked="@champion")
    assert has(node) == {"1.0.0": False}
    assert not any(line["level"] == "warning" for line in node.log())


def test_a_report_has_the_volumes_and_the_room(node: Node) -> None:
    for pod in ("a", "b"):
        node.mount(pod)
    report = node.report()
    (version,) = report.versions
    assert (version.model, version.version, version.source, version.volumes) == ("my-model", "1.0.0", "default", 2)
    assert version.bytes == report.used > sum(map(len, SMALL.values()))
    assert (report.node, report.budget) == ("node-1", 1 << 30)
