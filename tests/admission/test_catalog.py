"""Pods whose models the catalog knows."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.admission.conftest import JSON, PREFIX, annotated, asking
from tests.support.known import DIGEST, Known, known_settings, published
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.admission.result import AdmissionResult
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.resolution import VersionKey
from webhook.kubernetes.pod import decode
from webhook.kubernetes.quantities import parse_quantity
from webhook.settings import Settings

GIB = 1 << 30
MODELS = {"my-model": ("1.2.3", "1.3.0", "2.0.0-rc.1"), "small": ("1.0.0",), "broken": ("1.0.0",)}
ALIASES = {"my-model": {"champion": "1.2.3"}}
DETAILS = {
    ("my-model", "1.2.3"): published(10 * GIB, files=5),
    ("my-model", "1.3.0"): published(20 * GIB),
    ("small", "1.0.0"): VersionStatus("unmanaged", 1, 5, None, 5),
    ("broken", "1.0.0"): VersionStatus(
        "published", 1, 5, 3, 9, DIGEST, archived="1 of 3 objects are archived, such as x"
    ),
}


def decide(pod: JSON, settings: Settings | None = None) -> AdmissionResult:
    settings = settings or known_settings()
    return inject(decode(msgspec.json.encode(pod)), "apps", settings, Known(settings, MODELS, ALIASES, DETAILS))


def injected(pod: JSON, settings: Settings | None = None) -> JSON:
    injection = decide(pod, settings)
    assert injection.decision == "injected", injection
    return apply(pod, injection.operations)


@pytest.mark.parametrize("version", ["1.2.3", "@champion", "~1.2", "<1.3"])
def test_a_reference_becomes_the_version_that_it_means(version: str) -> None:
    changed = injected(asking(version=version))
    (fetch,) = changed["spec"]["initContainers"]
    assert fetch["args"][0] == "s3://my-ml-bucket/model-artifacts/my-model-1.2.3/*"
    (app,) = changed["spec"]["containers"]
    assert {"name": "MODEL_VERSION", "value": "1.2.3"} in app["env"]
    (record,) = json.loads(changed["metadata"]["annotations"][f"{PREFIX}/injected"])
    assert record == {
        "model": "my-model",
        "asked": version,
        "version": "1.2.3",
        "strategy": "s3-init",
        "uri": "s3://my-ml-bucket/model-artifacts/my-model-1.2.3",
        "files": 5,
        "bytes": 10 * GIB,
        "digest": DIGEST,
    }


def test_the_download_is_told_how_many_objects_and_bytes_there_are() -> None:
    (fetch,) = injected(asking())["spec"]["initContainers"]
    assert fetch["args"][2] == f"7,{10 * GIB + 100}"
    (fetch,) = injected(asking(verify="none"))["spec"]["initContainers"]
    assert fetch["args"][2] == "-"


def test_a_folder_that_may_change_is_sized_and_not_counted() -> None:
    changed = injected(asking(model="small", version="1.0.0"))["spec"]
    assert changed["initContainers"][0]["args"][2] == "-"
    assert changed["volumes"][0]["emptyDir"] == {"sizeLimit": "1Mi"}


@pytest.mark.parametrize(("headroom", "share"), [(0, 1.0), (10, 1.1), (100, 2.0)])
def test_the_volume_has_room_for_the_model_and_some_percent_more(headroom: int, share: float) -> None:
    changed = injected(asking(), known_settings(fetch={"size_headroom": headroom}))["spec"]
    limit = parse_quantity(changed["volumes"][0]["emptyDir"]["sizeLimit"])
    assert 10 * GIB * share <= limit <= 10 * GIB * share + 2 * (1 << 20)
    requests = changed["initContainers"][0]["resources"]["requests"]
    assert parse_quantity(requests["ephemeral-storage"]) == limit


def test_a_pod_that_limits_its_storage_is_not_evicted_for_the_model() -> None:
    limits = {"resources": {"limits": {"ephemeral-storage": "1Gi"}}}
    changed = injected(asking({"containers": [{"name": "app", **limits}]}))["spec"]
    resources = changed["initContainers"][0]["resources"]
    size = parse_quantity(changed["volumes"][0]["emptyDir"]["sizeLimit"])
    assert parse_quantity(resources["limits"]["ephemeral-storage"]) == size + GIB


def test_a_model_in_memory_is_in_the_memory_limit() -> None:
    changed = injected(asking(medium="memory"))["spec"]
    size = parse_quantity(changed["volumes"][0]["emptyDir"]["sizeLimit"])
    resources = changed["initContainers"][0]["resources"]
    assert parse_quantity(resources["limits"]["memory"]) == size + 256 * (1 << 20)
    assert parse_quantity(resources["requests"]["memory"]) == size + 64 * (1 << 20)
    assert "ephemeral-storage" not in resources["requests"]


def test_several_models_share_a_volume_of_their_size_together() -> None:
    models = "[{model: my-model, version: '@champion'}, {model: my-model, version: ^1.3}]"
    changed = injected(annotated(models=models), known_settings(fetch={"size_headroom": 0}))["spec"]
    limit = parse_quantity(changed["volumes"][0]["emptyDir"]["sizeLimit"])
    assert 30 * GIB <= limit <= 30 * GIB + Decimal(4 << 20)


def test_a_size_limit_that_the_model_does_not_fit_is_refused() -> None:
    refused = decide(asking(size_limit="1Gi"))
    assert (refused.decision, refused.reason) == ("refused", "InvalidAnnotation")
    assert f"{PREFIX}/size-limit" in refused.message
    assert "the size of my-model-1.2.3" in refused.message
    assert injected(asking(size_limit="11Gi"))["spec"]["volumes"][0]["emptyDir"] == {"sizeLimit": "11264Mi"}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"model": "my-modle"}, "UnknownModel"),
        ({"version": "9.9.9"}, "UnknownVersion"),
        ({"version": "@challenger"}, "UnknownVersion"),
        ({"version": "^9"}, "UnknownVersion"),
        ({"model": "broken", "version": "1.0.0"}, "Archived"),
    ],
)
def test_a_refusal_has_its_reason(asked: dict[str, Any], reason: str) -> None:
    settings = known_settings()
    catalog = Known(settings, MODELS, ALIASES, DETAILS)
    for model, version in (("my-modle", "1.2.3"), ("my-model", "9.9.9")):
        catalog.cache(VersionKey("default", model, version), VersionStatus("absent"))
    pod = decode(msgspec.json.encode(asking(None, **asked)))
    refused = inject(pod, "apps", settings, catalog)
    assert (refused.decision, refused.reason) == ("refused", reason)


def test_what_is_only_warned_of_is_injected_with_a_warning() -> None:
    injection = decide(asking(model="broken", version="1.0.0"), known_settings(catalog={"preflight": "warn"}))
    assert injection.decision == "injected"
    assert any("archived" in warning for warning in injection.warnings)


def test_an_alias_that_moves_between_two_passes_changes_nothing() -> None:
    settings = known_settings()
    catalog = Known(settings, MODELS, ALIASES, DETAILS)
    pod = asking(version="@champion")
    first = inject(decode(msgspec.json.encode(pod)), "apps", settings, catalog)
    changed = apply(pod, first.operations)
    catalog.tell(MODELS, {"my-model": {"champion": "1.3.0"}})
    again = inject(decode(msgspec.json.encode(changed)), "apps", settings, catalog)
    assert (again.decision, again.operations) == ("unchanged", ())


def test_a_copy_of_a_pod_from_before_the_withdrawal_is_refused() -> None:
    settings = known_settings()
    catalog = Known(settings, MODELS, ALIASES, DETAILS)
    pod = asking(version="latest")
    copy = apply(pod, inject(decode(msgspec.json.encode(pod)), "apps", settings, catalog).operations)
    catalog.tell(MODELS, ALIASES, withdrawn=(("my-model", "1.3.0"),))
    refused = inject(decode(msgspec.json.encode(copy)), "apps", settings, catalog)
    assert (refused.decision, refused.reason) == ("refused", "Withdrawn")
    assert "my-model 1.3.0 was withdrawn at 2026-05-01 10:00:00Z: a wrong tokenizer" in refused.message
    assert inject(decode(msgspec.json.encode(pod)), "apps", settings, catalog).models[0].version == "1.2.3"
