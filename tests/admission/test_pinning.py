"""Workloads: their references are pinned once, and stay so through whatever is done to them but a new choice."""

import copy
import json
from typing import Any

import msgspec
import pytest

from tests.admission.conftest import PREFIX, AliasedCatalog
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.admission.pinning import pin
from webhook.admission.result import AdmissionResult
from webhook.kubernetes.pod import decode as decode_pod
from webhook.kubernetes.workload import TEMPLATES, WorkloadChange, decode

JSON = dict[str, Any]
MODELS = {"my-model": ("1.2.3", "2.0.0", "3.0.0"), "other": ("1.0.0", "1.1.0")}
RESTARTED = "kubectl.kubernetes.io/restartedAt"
GROUPS = {kind: group for group, kind in TEMPLATES}


def template_of(workload: JSON) -> JSON:
    spec = workload["spec"]
    found: JSON = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]
    return found


def workload(kind: str = "Deployment", on_workload: dict[str, str] | None = None, **annotations: str) -> JSON:
    names = {f"{PREFIX}/{name}": value for name, value in annotations.items()}
    template = {"metadata": {"annotations": names}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    job: JSON = {"template": template}
    spec: JSON = {"schedule": "@daily", "jobTemplate": {"spec": job}} if kind == "CronJob" else {"replicas": 1, **job}
    return {"kind": kind, "metadata": {"name": "app", "annotations": on_workload or {}}, "spec": spec}


def asking(kind: str = "Deployment", **annotations: str) -> JSON:
    return workload(kind, None, **{"model": "my-model", "version": "@champion", **annotations})


class Cluster(AliasedCatalog):
    """An API server with this webhook, as far as one workload goes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(MODELS, **settings)

    def decide(self, new: JSON, old: JSON | None = None) -> AdmissionResult:
        kind = new["kind"]
        objects = [msgspec.json.encode(each) for each in ((new, old) if old else (new,))]
        return pin(
            WorkloadChange(*(decode(each, GROUPS[kind], kind) for each in objects)), "apps", self.settings, self.catalog
        )

    def store(self, new: JSON, old: JSON | None = None) -> JSON:
        injection = self.decide(new, old)
        assert injection.decision != "refused"
        return apply(new, injection.operations)

    def pod(self, workload: JSON) -> str:
        """The version that a pod of the workload gets."""
        template = template_of(workload)
        outcome = inject(decode_pod(msgspec.json.encode(template)), "apps", self.settings, self.catalog)
        assert outcome.decision == "injected", outcome
        return outcome.models[0].version


def pins(workload: JSON) -> list[JSON]:
    text = template_of(workload)["metadata"]["annotations"].get(f"{PREFIX}/pinned")
    found: list[JSON] = json.loads(text)["models"] if text else []
    return found


def edited(stored: JSON, **annotations: str) -> JSON:
    """What is applied after what is stored: the annotations that webhooks wrote stay."""
    new = copy.deepcopy(stored)
    template_of(new)["metadata"]["annotations"].update(
        {f"{PREFIX}/{name}": value for name, value in annotations.items()}
    )
    return new


def restarted(stored: JSON, time: str) -> JSON:
    new = copy.deepcopy(stored)
    template_of(new)["metadata"]["annotations"][RESTARTED] = time
    return new


@pytest.mark.parametrize("kind", GROUPS)
def test_a_floating_reference_is_pinned_in_the_template(kind: str) -> None:
    cluster = Cluster()
    stored = cluster.store(asking(kind))
    assert pins(stored) == [{"source": "default", "model": "my-model", "asked": "@champion", "version": "1.2.3"}]
    cluster.champion("2.0.0")
    assert cluster.pod(stored) == "1.2.3"
    assert cluster.pod(asking(kind)) == "2.0.0"


def test_an_exact_version_has_nothing_to_pin() -> None:
    injection = Cluster().decide(asking(version="1.2.3"))
    assert (injection.decision, injection.operations, injection.warnings) == ("unchanged", (), ())


def test_what_is_pinned_is_told_to_the_audit_log() -> None:
    (record,) = Cluster().decide(asking()).models
    assert (record.asked, record.version, record.files) == ("@champion", "1.2.3", 2)


@pytest.mark.parametrize("kind", GROUPS)
def test_it_stays_through_scaling_and_edits_of_the_workload_alone(kind: str) -> None:
    cluster = Cluster()
    stored = cluster.store(asking(kind))
    cluster.champion("2.0.0")
    for path, value in (("replicas", 5), ("paused", True), ("suspend", True)):
        stored = cluster.store({**stored, "spec": {**stored["spec"], path: value}}, stored)
        assert cluster.pod(stored) == "1.2.3"


def test_it_stays_through_edits_of_the_template() -> None:
    cluster = Cluster()
    stored = cluster.store(asking())
    cluster.champion("2.0.0")
    new = copy.deepcopy(stored)
    template_of(new)["spec"]["containers"][0]["image"] = "app:2"
    assert cluster.pod(cluster.store(new, stored)) == "1.2.3"


@pytest.mark.parametrize("kind", GROUPS)
def test_it_stays_through_a_replace_that_knows_nothing_of_it(kind: str) -> None:
    cluster = Cluster()
    stored = cluster.store(asking(kind))
    cluster.champion("2.0.0")
    replaced = cluster.store(asking(kind), stored)
    assert template_of(replaced) == template_of(stored)


def test_a_rollback_brings_back_the_version_of_then() -> None:
    cluster = Cluster()
    first = cluster.store(asking())
    cluster.champion("2.0.0")
    second = cluster.store(restarted(first, "2026-01-01T00:00:00Z"), first)
    cluster.champion("3.0.0")
    undone = cluster.store({**second, "spec": {**first["spec"]}}, second)
    assert cluster.pod(undone) == "1.2.3"
    again = cluster.store({**undone, "spec": {**second["spec"]}}, undone)
    assert cluster.pod(again) == "2.0.0"


def test_going_back_and_forth_never_chooses_anew_even_where_nothing_had_moved() -> None:
    cluster = Cluster()
    first = cluster.store(asking())
    second = cluster.store(restarted(first, "2026-01-01T00:00:00Z"), first)
    undone = cluster.store({**second, "spec": {**first["spec"]}}, second)
    cluster.champion("2.0.0")
    assert cluster.pod(cluster.store({**undone, "spec": {**second["spec"]}}, undone)) == "1.2.3"


def test_a_rollout_restart_chooses_anew() -> None:
    cluster = Cluster()
    stored = cluster.store(asking())
    cluster.champion("2.0.0")
    stored = cluster.store(restarted(stored, "2026-01-01T00:00:00Z"), stored)
    assert cluster.pod(stored) == "2.0.0"
    cluster.champion("3.0.0")
    assert cluster.pod(cluster.store(edited(stored, timeout="1h"), stored)) == "2.0.0"
    assert cluster.pod(cluster.store(restarted(stored, "2026-01-02T00:00:00Z"), stored)) == "3.0.0"


def test_a_replace_after_a_restart_stays_at_what_the_restart_chose() -> None:
    cluster = Cluster()
    stored = cluster.store(asking())
    cluster.champion("2.0.0")
    stored = cluster.store(restarted(stored, "2026-01-01T00:00:00Z"), stored)
    cluster.champion("3.0.0")
    assert cluster.pod(cluster.store(asking(), stored)) == "2.0.0"


def test_a_new_reference_is_chosen_anew() -> None:
    cluster = Cluster()
    stored = cluster.store(asking())
    assert cluster.pod(cluster.store(edited(stored, version="^2"), stored)) == "2.0.0"
    assert cluster.pod(cluster.store(edited(stored, version="3.0.0"), stored)) == "3.0.0"


@pytest.mark.parametrize(
    "change",
    [{"version": "9.9.9"}, {"version": "@nobody"}, {"inject": "false"}, {"timeout": "bad"}, {"version": "1.2.3"}],
)
def test_a_replace_of_an_unchanged_manifest_makes_no_pod_anew_whatever_it_asks_for(change: dict[str, str]) -> None:
    cluster = Cluster()
    stored = edited(cluster.store(asking()), **change)
    assert template_of(cluster.store(asking(**change), stored)) == template_of(stored)


def test_a_template_without_annotations_is_given_none() -> None:
    """There is nothing to add a pin to, and nothing that it would be for."""
    old = workload("Deployment", {f"{PREFIX}/model": "my-model"}, pinned="{}")
    new = copy.deepcopy(old)
    del template_of(new)["metadata"]["annotations"]
    assert Cluster().decide(new, old).operations == ()


def test_a_replace_keeps_a_pin_as_it_is_written() -> None:
    cluster = Cluster()
    text = ' {"models": [{"asked": "@champion", "version": "1.2.3", "model": "my-model", "source": "default"}], "x": 1}'
    stored = asking(pinned=text)
    assert template_of(cluster.store(asking(), stored)) == template_of(stored)


def test_a_default_version_stays_pinned_when_the_setting_changes() -> None:
    before = Cluster(defaults={"version": "@champion"})
    asks_no_version = workload("Deployment", None, model="my-model")
    stored = before.store(asks_no_version)
    assert before.pod(stored) == "1.2.3"
    after = Cluster(defaults={"version": "^3"})
    assert after.pod(stored) == "1.2.3"
    assert after.pod(after.store(edited(stored, timeout="1h"), stored)) == "1.2.3"
    assert after.pod(after.store(edited(stored, version="^3"), stored)) == "3.0.0"


def test_what_s3_did_not_say_is_not_pinned() -> None:
    cluster = Cluster()
    cluster.catalog.tell({"new": ("1.0.0",)}, {})
    cluster.catalog.back_off("default")
    injection = cluster.decide(workload(model="new", version="latest"))
    assert injection.operations == ()
    assert injection.warnings == (
        "new latest is not pinned: S3 does not answer; each of its pods resolves it",
        "new 1.0.0 is not checked: S3 did not answer",
    )
    assert injection.foretold == ()  # its pods are admitted


def test_who_may_not_use_a_model_does_not_hear_of_it_at_apply() -> None:
    cluster = Cluster(rules=[{"allow": False}])
    for version in ("@nobody", "^9", "latest"):
        (warning,) = cluster.decide(asking(version=version)).warnings
        assert "rules[0]" in warning


def test_of_several_models_only_the_one_that_changes_is_chosen_anew() -> None:
    cluster = Cluster()
    both = "[{model: my-model, version: '@champion'}, {model: other, version: %s}]"
    stored = cluster.store(workload(models=both % "^1.0"))
    cluster.champion("2.0.0")
    stored = cluster.store(edited(stored, models=both % "~1.0"), stored)
    assert [(each["model"], each["version"]) for each in pins(stored)] == [("my-model", "1.2.3"), ("other", "1.0.0")]


@pytest.mark.parametrize("kind", GROUPS)
def test_a_workload_from_before_the_installation_is_left_alone_until_its_template_changes(kind: str) -> None:
    cluster = Cluster()
    stored = asking(kind)
    scaled = {**stored, "spec": {**stored["spec"], "replicas": 3}}
    injection = cluster.decide(scaled, stored)
    assert (injection.reason, injection.operations) == ("TemplateUnchanged", ())
    changed = cluster.store(edited(stored, timeout="1h"), stored)
    assert bool(pins(changed)) == (kind != "Job")  # whose template the API server would not let change


def test_a_template_that_differs_in_the_order_of_its_keys_is_the_same() -> None:
    stored = asking()
    template = template_of(stored)
    turned = {**stored, "spec": {**stored["spec"], "template": dict(reversed(template.items()))}}
    assert Cluster().decide(turned, stored).reason == "TemplateUnchanged"


def test_a_restart_that_can_choose_nothing_keeps_what_there_was() -> None:
    cluster = Cluster()
    stored = cluster.store(asking())
    cluster.catalog.tell(MODELS, {})
    injection = cluster.decide(restarted(stored, "2026-01-01T00:00:00Z"), stored)
    assert any("stays pinned to 1.2.3" in warning for warning in injection.warnings)
    assert cluster.pod(apply(restarted(stored, "2026-01-01T00:00:00Z"), injection.operations)) == "1.2.3"


@pytest.mark.parametrize(
    "spoiled", ["", "{", "null", '{"models": 1}', '{"models": [{"model": "my-model"}]}', "[" * 9999]
)
def test_pins_that_someone_spoiled_are_written_anew(spoiled: str) -> None:
    cluster = Cluster()
    assert [each["version"] for each in pins(cluster.store(asking(pinned=spoiled)))] == ["1.2.3"]


def test_a_pin_that_is_no_exact_version_is_none() -> None:
    cluster = Cluster()
    forged = json.dumps({"models": [{"source": "default", "model": "my-model", "asked": "@champion", "version": "^2"}]})
    assert cluster.pod(asking(pinned=forged)) == "1.2.3"


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"version": "@challenger"}, "no alias @challenger"),
        ({"version": "9.9.9"}, "not checked"),
        ({"mount-path": "models"}, "mount-path"),
        ({"size-limit": "1"}, "size-limit"),
        ({"containers": "web"}, "web"),
    ],
)
@pytest.mark.parametrize("kind", GROUPS)
def test_apply_tells_what_its_pods_will_meet(kind: str, annotations: dict[str, str], message: str) -> None:
    cluster = Cluster()
    cluster.catalog.back_off("default")
    injection = cluster.decide(asking(kind, **annotations))
    assert injection.decision == "unchanged"
    assert any(message in warning for warning in injection.warnings), injection.warnings
    if message != "not checked":
        assert f"pods of this {kind} will be refused" in injection.warnings[-1]
        assert injection.operations == ()


def test_a_refusal_by_rule_is_foretold_as_well() -> None:
    cluster = Cluster(rules=[{"namespaces": ["apps"], "allow": False}])
    injection = cluster.decide(asking())
    assert injection.operations == ()
    assert "rules[0]" in injection.warnings[-1]


@pytest.mark.parametrize("name", ["model", "models"])
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("Deployment", "spec.template.metadata.annotations"),
        ("CronJob", "spec.jobTemplate.spec.template.metadata.annotations"),
    ],
)
def test_annotations_that_do_nothing_where_they_stand_are_told_of(kind: str, place: str, name: str) -> None:
    misplaced = workload(kind, {f"{PREFIX}/{name}": "my-model"})
    injection = Cluster().decide(misplaced)
    assert injection.operations == ()
    (warning,) = injection.warnings
    assert warning == f"{PREFIX}/{name} does nothing on a {kind} itself: write it to {place}"
    assert Cluster().decide(misplaced, misplaced).warnings == (warning,)


def test_a_template_that_opts_out_is_left_alone() -> None:
    injection = Cluster().decide(asking(inject="false"))
    assert (injection.decision, injection.reason, injection.operations) == ("skipped", "OptedOut", ())


def test_a_workload_that_asks_for_nothing_is_left_alone() -> None:
    injection = Cluster().decide(workload())
    assert (injection.decision, injection.reason, injection.operations) == ("skipped", "NotAnnotated", ())
