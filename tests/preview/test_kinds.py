"""Kinds that the platform names, and those that it does not."""

import msgspec
import pytest

from tests.preview.previews import only
from tests.preview.test_preview import DEPLOYMENT, POD
from tests.support.known import Known, known_settings
from webhook.kubernetes.unstructured import Unstructured
from webhook.preview import SERVED, DocumentPreview, read

ROLLOUT = DEPLOYMENT.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout")
ROLLOUTS = {"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts"}


def champion(named: bool, text: str) -> DocumentPreview:
    """A preview of a manifest that asks for an alias, where the platform names Rollouts or no kind."""
    settings = known_settings(workloads={"kinds": [ROLLOUTS] if named else []})
    catalog = Known(settings, {"my-model": ("1.2.3",)}, {"my-model": {"champion": "1.2.3"}})
    return only(text.replace("VERSION", "@champion"), settings, catalog)


def test_a_kind_that_the_platform_names_is_pinned_as_at_admission() -> None:
    found = champion(True, ROLLOUT)
    assert (found.patch[0]["path"], found.warnings) == (
        "/spec/template/metadata/annotations/model-injector.io~1pinned",
        (),
    )


@pytest.mark.parametrize(
    "text", [ROLLOUT, ROLLOUT.replace("Rollout", "Other"), DEPLOYMENT.replace("Deployment", "ReplicaSet")]
)
def test_pods_of_a_kind_that_nobody_names_can_differ_and_the_author_is_told(text: str) -> None:
    found = champion(False, text)
    (warning,) = found.warnings
    assert warning.startswith(f"my-model @champion is resolved again for each pod of this {found.kind}, ")
    assert warning.endswith("name the kind in webhook.workloads.kinds")
    assert not any("pinned" in operation["path"] for operation in found.patch)


@pytest.mark.parametrize("text", [DEPLOYMENT, POD.format(version='"@champion"')])
def test_a_pod_is_alone_and_a_deployment_is_pinned_so_nobody_is_told(text: str) -> None:
    assert champion(False, text).warnings == ()


def test_what_is_pinned_already_or_exact_or_refused_is_not_told_of() -> None:
    pins = """'{"models":[{"source":"default","model":"my-model","asked":"@champion","version":"1.2.3"}]}'"""
    pinned = ROLLOUT.replace('"VERSION"', f'"VERSION"\n        model-injector.io/pinned: {pins}')
    assert champion(False, pinned).warnings == ()
    assert champion(False, ROLLOUT.replace("VERSION", "1.2.3")).warnings == ()
    refused = champion(False, ROLLOUT.replace("VERSION", "@nobody"))
    assert (refused.decision, refused.warnings) == ("refused", ())


def test_a_review_names_its_resource_itself() -> None:
    (document,) = read(ROLLOUT.replace("VERSION", "@champion").encode(), SERVED)
    kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout"}
    asked = {"uid": "1", "kind": kind, "operation": "CREATE", "namespace": "apps", "object": document.value}
    for resource, is_named in ((ROLLOUTS, True), ({**ROLLOUTS, "resource": "others"}, False)):
        request = {**asked, "resource": resource}
        body = msgspec.json.encode({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        found = champion(True, body.decode())
        assert ("pinned" in found.patch[0]["path"]) is is_named


@pytest.mark.parametrize(
    ("kind", "resource"),
    [("Rollout", "rollouts"), ("Service", "services"), ("Policy", "policies"), ("Access", "accesses"), ("", "s")],
)
def test_the_plural_of_a_kind_is_guessed_as_kubernetes_does(kind: str, resource: str) -> None:
    assert Unstructured({"kind": kind}).resource == resource
