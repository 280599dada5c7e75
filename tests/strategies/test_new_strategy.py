"""A new strategy is one file and one line: everything else follows from what it declares."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chart.conftest import RenderError, render
from tests.chart.test_cel import verdicts_of
from tests.strategies.conftest import JSON, READY, STUBS, Checkout, touched
from tests.support.reviews import apply, operations, review

CLAIM = {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}


def deployment(**annotations: str) -> JSON:
    named = {f"model-injector.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    template = {
        "metadata": {
            "annotations": {"model-injector.io/model": "my-model", "model-injector.io/version": "1.2.3", **named}
        },
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "spec": {"template": template}}


def pod(**annotations: str) -> JSON:
    template: JSON = deployment(**annotations)["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "app"}}


def test_it_touches_its_own_file_and_the_list_and_the_rest_is_printed(checkout: Checkout) -> None:
    """What is printed by `scripts/docs` is all that changes besides; the tests below show that this is enough."""
    own = {f"webhook/strategies/{stub}.py" for stub in STUBS}
    printed = {
        "charts/model-injector/files/strategies.json",
        "charts/model-injector/values.schema.json",
        "docs/annotations.md",
        "docs/reference/commands.md",
        "docs/settings.md",
    }
    assert touched(checkout) == {*own, "webhook/strategies/__init__.py", *printed}


def test_its_annotations_and_settings_are_documented(checkout: Checkout) -> None:
    annotations = (checkout.root / "docs" / "annotations.md").read_text()
    settings = (checkout.root / "docs" / "settings.md").read_text()
    assert (
        "| `stub-claim` | The pod mounts a claim that the platform has filled with models. | `claim-name` |"
        in annotations
    )
    assert (
        "| `claim-name` | The claim that holds the model. | the name of a claim | the setting "
        "strategies.stub-claim.claim |" in annotations
    )
    assert "| `strategies.stub-claim.claim` | `MODEL_INJECTOR_STRATEGIES__STUB_CLAIM__CLAIM` | `models` |" in settings


def test_the_page_lists_its_annotations(checkout: Checkout) -> None:
    with checkout.webhook(READY).client() as client:
        assert 'id="annotation-claim-name"' in client.get("/").text


def test_it_keeps_the_contracts_of_imports(checkout: Checkout) -> None:
    done = checkout.run(Path(sys.executable).with_name("lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_the_chart_takes_its_settings_and_no_others(checkout: Checkout) -> None:
    config = {"bucket": "my-ml-bucket", **READY}
    rendered = render({"config": config}, chart=checkout.chart())
    assert rendered.settings["strategies"].items() >= READY["strategies"].items()
    with pytest.raises(RenderError, match="claims"):
        render(
            {"config": {"bucket": "my-ml-bucket", "strategies": {"stub-claim": {"claims": "x"}}}},
            chart=checkout.chart(),
        )
    with pytest.raises(RenderError, match="strategy"):
        render({"config": {"bucket": "my-ml-bucket", "defaults": {"strategy": "stub-clam"}}}, chart=checkout.chart())
    render(
        {"config": {"bucket": "my-ml-bucket", "defaults": {"strategy": "stub-claim, s3-init"}}}, chart=checkout.chart()
    )


def test_a_pod_gets_its_volume_and_the_path_of_every_strategy(checkout: Checkout) -> None:
    asked = pod(strategy="stub-claim")
    found = checkout.preview(asked, READY)
    spec = found["manifest"]["spec"]
    assert "initContainers" not in spec
    assert spec["volumes"] == [{"name": "models-of-the-platform", **CLAIM}]
    (container,) = spec["containers"]
    assert container["volumeMounts"] == [
        {
            "name": "models-of-the-platform",
            "mountPath": "/model-artifacts/my-model-1.2.3",
            "subPath": "models/my-model-1.2.3",
            "readOnly": True,
        }
    ]
    assert {"name": "MODEL_PATH", "value": "/model-artifacts/my-model-1.2.3"} in container["env"]
    assert [model["strategy"] for model in found["models"]] == ["stub-claim"]


def test_an_image_whose_root_is_the_model_is_mounted_at_the_same_path(checkout: Checkout) -> None:
    found = checkout.preview(pod(strategy="stub-image"))
    spec = found["manifest"]["spec"]
    reference = "registry.example.com/my-model:1.2.3"
    assert spec["volumes"] == [{"name": "model-my-model", "image": {"reference": reference}}]
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert mount == {"name": "model-my-model", "mountPath": "/model-artifacts/my-model-1.2.3", "readOnly": True}


def test_several_models_come_by_several_strategies(checkout: Checkout) -> None:
    asked = pod()
    del asked["metadata"]["annotations"]["model-injector.io/model"]
    asked["metadata"]["annotations"]["model-injector.io/models"] = json.dumps(
        [{"model": "my-model", "strategy": "stub-claim"}, {"model": "b", "strategy": "stub-image"}, {"model": "c"}]
    )
    found = checkout.preview(asked, READY)
    assert [model["strategy"] for model in found["models"]] == ["stub-claim", "stub-image", "s3-init"]
    spec = found["manifest"]["spec"]
    assert [container["name"] for container in spec["initContainers"]] == ["fetch-c"]
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts == {
        "/model-artifacts/my-model-1.2.3": "models-of-the-platform",
        "/model-artifacts/b-1.2.3": "model-b",
        "/model-artifacts/c-1.2.3": "model-artifacts",
    }


@pytest.mark.parametrize("strategy", ["stub-claim", "stub-image", "stub-claim, s3-init"])
def test_a_second_pass_changes_nothing(checkout: Checkout, strategy: str) -> None:
    """Also after the API server has filled in what it fills in."""
    asked = pod(strategy=strategy)
    with checkout.webhook(READY).client() as client:
        first = client.post("/mutate", json=review(asked)).json()
        stored = apply(asked, operations(first))
        for volume in stored["spec"]["volumes"]:
            if "image" in volume:
                volume["image"]["pullPolicy"] = "IfNotPresent"
        second = client.post("/mutate", json=review(stored)).json()
    assert operations(first)
    assert (second["response"]["allowed"], operations(second)) == (True, [])


def test_a_volume_of_its_name_with_another_source_is_refused(checkout: Checkout) -> None:
    asked = pod(strategy="stub-claim")
    asked["spec"]["volumes"] = [
        {"name": "models-of-the-platform", "persistentVolumeClaim": {"claimName": "of-the-team"}}
    ]
    found = checkout.preview(asked, READY)
    assert (found["allowed"], found["reason"]) == (False, "Conflict")
    assert "the volume name models-of-the-platform is reserved by model-injector" in found["message"]


def test_its_own_annotation_wins_over_its_setting(checkout: Checkout) -> None:
    found = checkout.preview(pod(strategy="stub-claim", claim_name="of-the-team"), READY)
    (volume,) = found["manifest"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == "of-the-team"


def test_an_annotation_of_a_strategy_that_is_not_used_is_a_warning(checkout: Checkout) -> None:
    found = checkout.preview(pod(strategy="stub-image", claim_name="of-the-team", timeout="1h"))
    assert found["warnings"] == [
        "model-injector.io/claim-name does nothing with the strategy stub-image",
        "model-injector.io/timeout does nothing with the strategy stub-image",
    ]


def test_an_entry_of_models_is_warned_about_its_own_annotations(checkout: Checkout) -> None:
    asked = pod()
    del asked["metadata"]["annotations"]["model-injector.io/model"]
    asked["metadata"]["annotations"]["model-injector.io/models"] = json.dumps(
        [{"model": "a", "strategy": "stub-image", "timeout": "1h"}, {"model": "b", "timeout": "1h"}]
    )
    assert checkout.preview(asked)["warnings"] == [
        "model-injector.io/models[0].timeout does nothing with the strategy stub-image"
    ]


def test_containers_that_have_to_write_are_refused(checkout: Checkout) -> None:
    found = checkout.preview(pod(strategy="stub-claim", read_only="false"), READY)
    assert (found["allowed"], found["reason"]) == (False, "InvalidAnnotation")
    assert "containers cannot write to models by the strategy stub-claim" in found["message"]


def test_of_several_strategies_the_first_that_is_available_is_used(checkout: Checkout) -> None:
    asked = pod(strategy="stub-claim, s3-init")
    fallback, preferred = checkout.preview(asked), checkout.preview(asked, READY)
    assert [model["strategy"] for model in fallback["models"]] == ["s3-init"]
    assert fallback["warnings"] == [
        "my-model: strategy stub-claim is not used: the claim of default does not hold my-model-1.2.3 yet"
    ]
    assert [model["strategy"] for model in preferred["models"]] == ["stub-claim"]
    assert preferred["warnings"] == []


def test_a_strategy_that_is_not_available_and_stands_alone_is_refused(checkout: Checkout) -> None:
    found = checkout.preview(pod(strategy="stub-claim"))
    assert (found["allowed"], found["reason"]) == (False, "StrategyUnavailable")
    assert "stub-claim: the claim of default does not hold my-model-1.2.3 yet" in found["message"]


def test_a_rule_may_leave_only_the_other_strategies(checkout: Checkout) -> None:
    rules = {"rules": [{"strategies": ["s3-init"], "allow": False}]}
    asked = pod(strategy="s3-init, stub-image")
    found = checkout.preview(asked, rules)
    assert [model["strategy"] for model in found["models"]] == ["stub-image"]
    assert "rules[0] of this installation forbids it" in found["warnings"][0]
    assert checkout.preview(pod(), rules)["reason"] == "Forbidden"


def test_the_choice_is_pinned_so_that_replicas_agree(checkout: Checkout) -> None:
    """A pod that is created after the claim was filled gets what the pods before it have."""
    stored = checkout.preview(deployment(strategy="stub-claim, s3-init"))
    annotations = stored["manifest"]["spec"]["template"]["metadata"]["annotations"]
    (entry,) = json.loads(annotations["model-injector.io/pinned"])["models"]
    assert (entry["version"], entry["strategy"]) == ("1.2.3", "s3-init")
    later = pod()
    later["metadata"]["annotations"] = {
        name: value for name, value in annotations.items() if name != "model-injector.io/injected"
    }
    assert [model["strategy"] for model in checkout.preview(later, READY)["models"]] == ["s3-init"]


def test_an_earlier_choice_stays_in_a_second_pass(checkout: Checkout) -> None:
    """The claim was filled between the two passes."""
    asked = pod(strategy="stub-claim, s3-init")
    first = checkout.preview(asked)["manifest"]
    assert checkout.preview(first, READY)["patch"] == []
    first = checkout.preview(asked, READY)["manifest"]
    assert checkout.preview(first)["patch"] == []


def test_a_container_that_came_later_gets_what_the_others_have(checkout: Checkout) -> None:
    """Another webhook has added it, and by now the choice would be another."""
    for settings, now in ((READY, {}), ({}, READY)):
        stored = checkout.preview(pod(strategy="stub-claim, s3-init"), settings)["manifest"]
        stored["spec"]["containers"].append({"name": "late", "image": "late"})
        found = checkout.preview(stored, now)
        app, late = found["manifest"]["spec"]["containers"]
        assert (late["volumeMounts"], late["env"]) == (app["volumeMounts"], app["env"])
        before, after = (
            manifest["metadata"]["annotations"]["model-injector.io/injected"]
            for manifest in (stored, found["manifest"])
        )
        assert after == before


def test_the_guard_goes_by_its_volumes(checkout: Checkout) -> None:
    def refusals(changed: JSON) -> list[str]:
        return verdicts_of(
            render({"config": {"bucket": "b12"}, "guard": {"enabled": True}}, chart=checkout.chart()), changed
        )

    injected: Any = checkout.preview(pod(strategy="stub-claim"), READY)["manifest"]
    assert refusals(injected) == []
    del injected["spec"]["volumes"]
    (message,) = refusals(injected)
    assert "by the strategy stub-claim and lacks a volume of the type persistentVolumeClaim" in message
