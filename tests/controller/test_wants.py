"""Which versions loads select, and for which namespaces."""

import pytest

from tests.controller.catalogs import catalog, loading, version
from tests.controller.controlled import (
    HOME,
    MOUNT,
    NAME,
    ONE,
    SHARED,
    Controlled,
)
from tests.controller.memory import CLAIM


def test_a_load_serves_the_namespaces_that_its_globs_match() -> None:
    settings = loading({"strategy": "shared-volume", "namespaces": ["team-*"]})
    it = Controlled(settings, ONE, namespaces=("team-a", "other", "kube-system"))
    it.load()
    assert [it.state(name) for name in ("team-a", "other", "kube-system")] == ["ready", None, None]
    assert it.annotation(SHARED) == "team-a"


def test_namespaces_of_kubernetes_are_served_only_by_their_names() -> None:
    it = Controlled(MOUNT, ONE, namespaces=("kube-system",))
    it.load()
    assert it.state("kube-system", strategy="s3-mount") is None
    it.settings = loading({"strategy": "s3-mount", "namespaces": ["*", "kube-system"]})
    it.load()
    assert it.state("kube-system", strategy="s3-mount") == "ready"


def test_the_first_load_of_a_strategy_decides_about_a_version() -> None:
    loads = (
        {"strategy": "shared-volume", "models": ["my-*"], "storageClass": "fast", "namespaces": ["team-a"]},
        {"strategy": "shared-volume", "models": ["*"]},
        {"strategy": "s3-mount"},
    )
    it = Controlled(loading(*loads), ONE)
    it.load()
    assert it.cluster.objects[CLAIM, HOME, NAME]["spec"]["storageClassName"] == "fast"
    assert it.annotation(SHARED) == "team-a"
    assert it.state("team-b", strategy="s3-mount") == "ready"


@pytest.mark.parametrize(
    ("versions", "loaded"),
    [
        ("*", ["1.0.0", "1.1.0", "2.0.0"]),
        ("^1", ["1.0.0", "1.1.0"]),
        ("latest", ["2.0.0"]),
        ("@champion", ["1.1.0"]),
        ("@unknown", []),
        ("1.0.0", ["1.0.0"]),
        ("9.9.9", []),
    ],
)
def test_a_load_selects_versions(versions: str, loaded: list[str]) -> None:
    settings = loading({"strategy": "shared-volume", "versions": versions})
    known = [version(settings, name) for name in ("1.0.0", "1.1.0", "2.0.0")]
    it = Controlled(settings)
    it.published = catalog(*known, version(settings, "3.0.0", problem="unfinished"), champion="1.1.0")
    it.load()
    assert [each.artifact.version for each in known if it.state(of=each)] == loaded


def test_models_that_the_globs_do_not_match_are_not_loaded() -> None:
    settings = loading({"strategy": "shared-volume", "models": ["your-*"]})
    assert Controlled(settings, version(settings)).step() == []
