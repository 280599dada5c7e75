"""Pods of the strategy `node-cache` prefer nodes that have their versions, if the platform wants that."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.admission.conftest import Injector, annotated, asking


@pytest.fixture
def placing(configured: Callable[..., Injector]) -> Injector:
    return configured(
        strategies={"node-cache": {"placement": True}},
        sources={
            "other": {"bucket": "my-ml-bucket", "prefix": "model-artifacts", "endpointUrl": "https://s3.internal"}
        },
    )


def preferred(pod: dict[str, Any]) -> list[str]:
    """The keys of the labels of the nodes that a pod prefers."""
    terms = pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    return [each["key"] for term in terms for each in term["preference"]["matchExpressions"]]


def test_the_label_is_that_of_the_version_s_folder_and_its_store(placing: Injector) -> None:
    uri = "s3://my-ml-bucket/model-artifacts/my-model-1.2.3"
    for source, text in (("default", uri), ("other", f"https://s3.internal {uri}")):
        (label,) = preferred(placing(asking(strategy="node-cache", source=source)))
        assert label == f"model-injector.io/cached-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def test_a_pod_of_many_models_prefers_nodes_for_eight_of_them(placing: Injector) -> None:
    models = ", ".join(f"{{model: m{number}, version: 1.0.0}}" for number in range(10))
    pod = placing(annotated(models=f"[{models}]", strategy="node-cache"))
    assert len(pod["spec"]["volumes"]) == 10
    assert len(set(preferred(pod))) == len(preferred(pod)) == 8
    assert placing.decide(pod).operations == ()


def test_without_the_setting_pods_prefer_no_nodes(injected: Injector) -> None:
    assert "affinity" not in injected(asking(strategy="node-cache"))["spec"]


def test_pods_of_other_strategies_prefer_no_nodes(placing: Injector) -> None:
    assert "affinity" not in placing(asking())["spec"]
