"""Names and labels of a version's objects: valid for every version that a pod can ask for, distinct, and stable."""

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.annotations.model_name import model_name
from webhook.fields.parsers import EXACT_VERSION
from webhook.kubernetes.names import label_value, object_name
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name, labels, volume_name
from webhook.model.source import Source
from webhook.strategies import STRATEGIES

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Kubernetes' own rule for names (RFC 1123 subdomain)."""
VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
"""Kubernetes' own rule for label values."""
_LETTERS = string.ascii_letters + string.digits


def _text(more: str, most: int = 70) -> st.SearchStrategy[str]:
    """Text that begins with a letter or a digit."""
    return st.builds(str.__add__, st.sampled_from(_LETTERS), st.text(_LETTERS + more, max_size=most))


MODELS = st.lists(_text("._-"), min_size=1, max_size=2).map("/".join)
VERSIONS = _text("._+-").filter(EXACT_VERSION.fullmatch)
NAMESPACES = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=63)
NAMES = st.sampled_from(sorted({*STRATEGIES, "s3-mount", "shared-volume", "oci-image"}))


def artifact(model: str, version: str, **source: Any) -> Artifact:
    return Artifact(model, version, Source(bucket="my-ml-bucket", prefix="model-artifacts", **source))


ARTIFACTS = st.builds(artifact, MODELS.map(model_name), VERSIONS)


@given(NAMES, ARTIFACTS, NAMESPACES)
def test_they_are_valid_and_can_be_label_values(strategy: str, version: Artifact, namespace: str) -> None:
    for name in (claim_name(strategy, version), volume_name(strategy, namespace, version)):
        assert SUBDOMAIN.fullmatch(name)
        assert len(name) <= 63
        assert name.startswith(strategy)
    for key, value in labels("model-injector.io", version, "ready").items():
        assert VALUE.fullmatch(value), key
        assert 0 < len(value) <= 63, key


@given(st.text(), st.text())
def test_any_text_makes_a_valid_name_and_value(text: str, identity: str) -> None:
    name, value = object_name(text, identity), label_value(text)
    assert SUBDOMAIN.fullmatch(name)
    assert VALUE.fullmatch(value)
    assert value
    assert len(name) <= 63
    assert len(value) <= 63


@given(ARTIFACTS, ARTIFACTS, NAMESPACES, NAMESPACES)
def test_they_are_distinct_where_the_folders_are(one: Artifact, other: Artifact, here: str, there: str) -> None:
    assert (claim_name("s3-mount", one) == claim_name("s3-mount", other)) == (one.uri == other.uri)
    is_same = (here, one.uri) == (there, other.uri)
    assert (volume_name("s3-mount", here, one) == volume_name("s3-mount", there, other)) == is_same


def test_what_only_a_name_of_objects_cannot_tell_apart_is_told_apart() -> None:
    versions = [artifact(model, "1.0.0") for model in ("A/b", "a/b", "a-b", "a_b", "a--b")]
    versions += [artifact("a/b", "1.0.0", endpoint_url="https://minio.example.com")]
    versions += [artifact("a/b", "1.0.0", layout="{model}/{version}")]
    versions += [artifact("a" * 100 + end, "1.0.0") for end in "bc"]
    names = {claim_name("s3-mount", version) for version in versions}
    assert len(names) == len(versions)
    assert len({claim_name(strategy, versions[0]) for strategy in ("s3-mount", "shared-volume")}) == 2


@pytest.mark.parametrize(
    ("model", "version", "name", "values"),
    [
        ("my-model", "1.2.3", "s3-mount-my-model-1.2.3-c685ce6b", ("my-model", "1.2.3")),
        ("my-org/Encoder", "2.0.0", "s3-mount-my-org-encoder-2.0.0-133c1cca", ("my-org-Encoder-dfa886e9", "2.0.0")),
        ("bert", "1.0.0+cu121", "s3-mount-bert-1.0.0-cu121-80e9b52a", ("bert", "1.0.0-cu121-fe8e030e")),
        ("llm_7B.q4", "2026-05-01", "s3-mount-llm-7b.q4-2026-05-01-b5ac7eb3", ("llm_7B.q4", "2026-05-01")),
        ("m" * 80, "1", f"s3-mount-{'m' * 45}-e26b570a", (f"{'m' * 54}-76bf4d20", "1")),
    ],
)
def test_they_stay_what_they_are(model: str, version: str, name: str, values: tuple[str, str]) -> None:
    """Objects with these names are in clusters."""
    found = artifact(model, version)
    assert claim_name("s3-mount", found) == name
    assert tuple(labels("model-injector.io", found, "loading").items()) == (
        ("app.kubernetes.io/managed-by", "model-injector"),
        ("model-injector.io/model", values[0]),
        ("model-injector.io/version", values[1]),
        ("model-injector.io/state", "loading"),
    )
    page = (Path(__file__).parents[2] / "docs" / "objects.md").read_text()
    assert all(f"`{text}`" in page for text in (name, *values) if len(model) < 80)


def test_a_volume_has_a_name_of_its_own_in_each_namespace() -> None:
    found = artifact("my-model", "1.2.3")
    assert volume_name("s3-mount", "apps", found) == "s3-mount-apps-my-model-1.2.3-2ca3f509"
    assert volume_name("s3-mount", "ml", found) != volume_name("s3-mount", "apps", found)
