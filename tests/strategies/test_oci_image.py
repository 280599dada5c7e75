"""`oci-image`: which image a pod mounts, and in which clusters it can."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.admission.conftest import asking
from webhook.annotations.parsing import parse
from webhook.inventory.inventory import Inventory
from webhook.kubernetes.pod import Pod, PodSpec
from webhook.model.artifact import Artifact
from webhook.model.source import Source
from webhook.settings import Settings
from webhook.strategies import oci_image
from webhook.strategies.oci_image import ImageSettings
from webhook.strategies.strategy import Delivery, NoOptions, Plan, StrategyUnavailable, Target

TEMPLATE = "registry.example.com:5000/models/{model}:{version}"
DIGEST = f"registry.example.com/models/my-model@sha256:{'a' * 64}"


def delivery(model: str = "my-model", version: str = "1.2.3", image: str | None = None) -> Delivery[NoOptions]:
    annotations = asking(model=model, version=version, strategy="oci-image")["metadata"]["annotations"]
    (request,) = parse(annotations, Settings(bucket="my-ml-bucket")).models
    artifact = Artifact(model, version, Source(bucket="my-ml-bucket"), image=image)
    return Delivery(request, artifact, "my-model", NoOptions())


def target(version: str | None = None) -> Target:
    inventory = None if version is None else Inventory({}, frozenset(), version)
    return Target(Pod(PodSpec()), "apps", inventory=inventory)


def planned(asked: Delivery[NoOptions], **settings: Any) -> Plan:
    return oci_image.plan([asked], target(), ImageSettings(**settings))


def problem(version: str | None = None, image: str | None = DIGEST, **settings: Any) -> str:
    return oci_image.availability(delivery(image=image), target(version), ImageSettings(**settings)) or ""


def test_the_image_of_the_catalog_is_mounted_by_its_digest_and_at_its_root() -> None:
    plan = planned(delivery(image=DIGEST), image=TEMPLATE, pull_policy="Never", pull_secrets=("registry",))
    assert plan.volumes == ({"name": "model-my-model", "image": {"reference": DIGEST, "pullPolicy": "Never"}},)
    assert (plan.locations[0].volume, plan.locations[0].sub_path) == ("model-my-model", "")
    assert (plan.image_pull_secrets, plan.warnings) == (("registry",), ())


@pytest.mark.parametrize(
    ("template", "model", "version", "image"),
    [
        (TEMPLATE, "my-model", "1.2.3", "registry.example.com:5000/models/my-model:1.2.3"),
        (TEMPLATE, "My-Org/Big.Model", "1.2.3+cu12", "registry.example.com:5000/models/my-org/big.model:1.2.3_cu12"),
        ("r.example.com/m:{model}-{version}", "My-Org/Model", "2.0.0", "r.example.com/m:My-Org_Model-2.0.0"),
        ("r.example.com/{model}/{version}", "a..b--c_-d.", "1.0+X", "r.example.com/a_b--c_d/1.0_x"),
    ],
)
def test_a_template_gives_a_valid_name_and_a_warning_that_a_tag_can_move(
    template: str, model: str, version: str, image: str
) -> None:
    plan = planned(delivery(model, version), image=template)
    assert plan.volumes[0]["image"] == {"reference": image}
    (warning,) = plan.warnings
    assert warning.startswith(f"the image {image} is named by a tag, which can be moved")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("registry.example.com/{modle}:{version}", "has the placeholder {modle…}; write {model} and {version}"),
        ("registry.example.com/{model}", "lacks the placeholder {version}"),
        ("registry.example.com/models:{version}", "lacks the placeholder {model}"),
        ("registry.example.com/{model:{version}", "brace|placeholder"),
        ("registry.example.com/{}:{version}", "has the placeholder {…}"),
        ("registry.example.com/{model.__class__}:{version}", "has the placeholder {model.__class__…}"),
        ("registry.example.com/{model:>9}:{version}", "has the placeholder {model…}"),
        ("registry.example.com/{model!r}:{version}", "has the placeholder {model…}"),
        ("{model}.example.com/x:{version}", "is not the name of an image"),
        ("https://registry.example.com/{model}:{version}", "is not the name of an image"),
        ("registry.example.com/{model}:{version}@sha256:abc", "is not the name of an image"),
        ("registry.example.com/Models/{model}:{version}", "is not the name of an image"),
        ("{model}:{version}", "is not the name of an image"),
    ],
)
def test_a_template_is_checked_when_settings_are_loaded(template: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ImageSettings(image=template)


def test_a_model_without_an_image_is_not_available() -> None:
    assert problem(image=None) == (
        "the catalog has no image of my-model-1.2.3, and the setting strategies.oci-image.image is empty"
    )
    with pytest.raises(StrategyUnavailable):
        planned(delivery())


def test_a_name_that_is_too_long_for_a_tag_is_not_available() -> None:
    template = "registry.example.com/models:{model}-{version}"
    reason = oci_image.availability(delivery("m" * 128), target(), ImageSettings(image=template))
    assert reason
    assert "is not a valid name of an image; record the image in the catalog" in reason


@pytest.mark.parametrize(
    ("configured", "read", "gate", "reason"),
    [
        ("", None, False, ""),
        ("1.30", None, True, "Kubernetes 1.30 has no image volumes"),
        ("1.31", None, False, "only with the feature gate ImageVolume"),
        ("1.34", None, False, "set strategies.oci-image.featureGate, or upgrade the cluster to 1.35"),
        ("1.34", None, True, ""),
        ("1.35", None, False, ""),
        ("2.0", None, False, ""),
        ("", "1.34", False, "Kubernetes 1.34"),
        ("", "1.36", False, ""),
        ("1.34", "1.36", False, "Kubernetes 1.34"),
        ("", "devel", False, ""),
    ],
)
def test_a_cluster_that_has_no_image_volumes_is_named(
    configured: str, read: str | None, gate: bool, reason: str
) -> None:
    found = problem(read, cluster_version=configured, feature_gate=gate)
    assert (reason in found, bool(found)) == (True, bool(reason))
