"""A pod that comes again, changed by other webhooks, or by a replica of ours with other settings."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.admission.conftest import JSON, PREFIX, Injector, annotated, asking
from tests.admission.test_placement import NATIVE
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.kubernetes.decoding import InvalidObject
from webhook.kubernetes.pod import decode
from webhook.settings import Settings

CATALOG = ExactCatalog(Settings(bucket="my-ml-bucket", prefix="model-artifacts"))


def test_a_second_pass_changes_nothing_after_other_webhooks_did(injected: Injector) -> None:
    spec = {"containers": [{"name": "app"}], "initContainers": [NATIVE, {"name": "migrate"}]}
    pod = injected(asking(spec, service_account="reader"))
    fetch = pod["spec"]["initContainers"][1]
    fetch["env"] = [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"}]
    fetch["volumeMounts"].insert(0, {"name": "eks-pod-identity-token", "mountPath": "/var/run/secrets"})
    fetch["image"] = f"mirror.example.com/{fetch['image']}"
    fetch["resources"]["limits"]["cpu"] = "1"
    pod["spec"]["initContainers"].insert(0, {"name": "late-comer"})
    pod["spec"]["containers"].append({"name": "istio-proxy"})
    injection = injected.decide(pod)
    assert (injection.decision, injection.operations) == ("unchanged", ())


OTHERWISE = [{"prefix": "elsewhere"}, {"bucket": "other-bucket"}, {"layout": "{model}/{version}"}]


@pytest.mark.parametrize("settings", OTHERWISE)
def test_what_a_replica_of_other_settings_has_injected_stays(
    injected: Injector, configured: Callable[..., Injector], settings: dict[str, Any]
) -> None:
    models = "[{model: encoder, version: 1.0.0}, {model: ranker, version: 2.0.0, medium: memory}]"
    for first, second in ((injected, configured(**settings)), (configured(**settings), injected)):
        injection = second.decide(first(annotated(models=models)))
        assert (injection.decision, injection.reason, injection.operations) == ("unchanged", "AlreadyInjected", ())


def _copied(injected: Injector) -> JSON:
    """A pod that was injected, as someone has copied it from a cluster."""
    return injected(asking())


def test_a_copied_pod_of_another_version_is_refused(injected: Injector) -> None:
    pod = _copied(injected)
    pod["metadata"]["annotations"][f"{PREFIX}/version"] = "2.0.0"
    assert "fetch-my-model" in injected.refusal(pod)


def test_a_copied_record_without_its_init_container_is_no_injection(
    injected: Injector, configured: Callable[..., Injector]
) -> None:
    pod = _copied(configured(prefix="elsewhere"))
    pod["spec"] = asking()["spec"]
    injection = injected.decide(pod)
    assert injection.decision == "injected"
    assert {"path": "/spec/initContainers", "op": "add"}.items() <= injection.operations[-1].items()


def test_a_record_of_other_places_than_the_init_containers_is_refused(
    injected: Injector, configured: Callable[..., Injector]
) -> None:
    pod = _copied(configured(prefix="elsewhere"))
    pod["spec"]["initContainers"][0]["args"][0] = "s3://a-bucket/of-someone/else/*"
    assert "fetch-my-model" in injected.refusal(pod)


@pytest.mark.parametrize("spoiled", ["", "[]", "{", "null", "[" * 10_000, json.dumps([{"model": "my-model"}])])
def test_a_spoiled_record_is_none(injected: Injector, configured: Callable[..., Injector], spoiled: str) -> None:
    pod = _copied(configured(prefix="elsewhere"))
    pod["metadata"]["annotations"][f"{PREFIX}/injected"] = spoiled
    assert "fetch-my-model" in injected.refusal(pod)


@pytest.mark.parametrize("source", ['{"x": 1e999}', '{"x": ' + "9" * 5000 + "}"])
def test_a_volume_whose_source_is_not_json_that_kubernetes_writes_is_an_invalid_object(
    injected: Injector, source: str
) -> None:
    text = json.dumps(injected(asking()))
    with pytest.raises(InvalidObject, match="not a Volume"):
        inject(
            decode(text.replace('"emptyDir": {}', f'"emptyDir": {source}').encode()), "apps", injected.settings, CATALOG
        )
