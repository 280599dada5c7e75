"""What holds for every pod."""

import copy
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.admission.conftest import JSON, PREFIX, Injector, asking
from tests.support.generators.pods import pods
from tests.support.reviews import apply
from webhook.admission.result import AdmissionResult
from webhook.fetching.script import SCRIPT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
OLDEST, NEWEST = "1.28", "1.37"


def without_ours(pod: JSON) -> JSON:
    """A changed pod without what a patch of ours may add."""
    found = copy.deepcopy(pod)
    spec = found["spec"]
    ours = {"model-artifacts", "model-artifacts-memory"}
    fetching = [one for one in spec.get("initContainers", []) if "model-fetch" in one.get("command", ())]
    spec["initContainers"] = [one for one in spec.get("initContainers", []) if one not in fetching]
    spec["volumes"] = [volume for volume in spec.get("volumes", []) if volume["name"] not in ours]
    targets = {mount["name"] for one in fetching for mount in one["volumeMounts"]}
    for container in (*spec["containers"], *spec["initContainers"]):
        own = [mount for mount in container.get("volumeMounts", []) if not is_ours(mount, targets)]
        container["volumeMounts"] = own
        container["env"] = container.get("env", [])[sum(1 for _ in added_variables(container)) :]
    for field in ("serviceAccountName", "serviceAccount"):
        spec.pop(field, None)
    for name in (f"{PREFIX}/injected", "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"):
        found["metadata"].get("annotations", {}).pop(name, None)
    return normal(found)


def is_ours(mount: JSON, targets: set[str]) -> bool:
    return mount["name"] in targets and not mount["mountPath"].startswith("/own/")


def added_variables(container: JSON) -> Iterator[JSON]:
    for variable in container.get("env", []):
        if variable["name"] not in {"MODEL_PATH", "MODEL_NAME", "MODEL_VERSION"} or "futureOwn" in variable:
            return
        yield variable


def normal(pod: JSON) -> JSON:
    """A pod with empty lists where it has none, and without what a patch may replace."""
    found = copy.deepcopy(pod)
    spec = found["spec"]
    spec.setdefault("initContainers", [])
    spec.setdefault("volumes", [])
    for container in (*spec["containers"], *spec["initContainers"]):
        container.setdefault("volumeMounts", [])
        container.setdefault("env", [])
    for field in ("serviceAccountName", "serviceAccount"):
        spec.pop(field, None)
    return found


def mark_variables(pod: JSON) -> JSON:
    """Every variable of the pod's own, told apart from ours of the same name."""
    found = copy.deepcopy(pod)
    for container in (*found["spec"]["containers"], *found["spec"].get("initContainers", [])):
        for variable in container.get("env", []):
            variable["futureOwn"] = True
    return found


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(pods(), st.sampled_from([OLDEST, NEWEST, None, None]))
def test_what_holds_for_every_pod(injected: Injector, pod: JSON, kubernetes: str | None) -> None:
    """Each property of each pod: to generate one takes longer than all of them."""
    injection = injected.decide(pod)
    is_refused_only_for_what_cannot_be(pod, injection)
    if injection.decision == "injected":
        changed = apply(pod, injection.operations)
        a_second_pass_changes_nothing(injected, changed, injection)
        no_value_of_an_annotation_reaches_a_shell_word(changed)
    if injection.decision != "refused":
        a_patch_only_adds_and_everything_of_the_pod_survives(injected, mark_variables(pod))
    if injection.decision == "injected" and kubernetes:
        the_result_is_valid_by_the_official_schema(injected, known_fields_only(pod), kubernetes)


def is_refused_only_for_what_cannot_be(pod: JSON, injection: AdmissionResult) -> None:
    asked = pod["metadata"].get("annotations", {})
    if injection.decision == "refused":
        exclusive = f"{PREFIX}/volume" in asked and not {f"{PREFIX}/medium", f"{PREFIX}/size-limit"}.isdisjoint(asked)
        same = asked.get(f"{PREFIX}/mount-path") == asked.get(f"{PREFIX}/model-path")
        crossing = "at most its limit" in injection.message
        assert exclusive or same or crossing, injection.message


def a_second_pass_changes_nothing(injected: Injector, changed: JSON, injection: AdmissionResult) -> None:
    again = injected.decide(changed)
    assert (again.decision, again.operations, again.models) == ("unchanged", (), injection.models)


def no_value_of_an_annotation_reaches_a_shell_word(changed: JSON) -> None:
    for container in changed["spec"]["initContainers"]:
        if "model-fetch" in container.get("command", ()):
            assert container["command"] == ["/bin/sh", "-c", SCRIPT, "model-fetch"]
            assert all("$" not in argument for argument in container["args"])


def a_patch_only_adds_and_everything_of_the_pod_survives(injected: Injector, pod: JSON) -> None:
    injection = injected.decide(pod)
    assert injection.decision != "refused"
    assert {operation["op"] for operation in injection.operations} <= {"add"}
    assert without_ours(apply(pod, injection.operations)) == normal(pod)


def the_result_is_valid_by_the_official_schema(injected: Injector, pod: JSON, kubernetes: str) -> None:
    injection = injected.decide(pod)
    assert injection.decision == "injected"
    kubernetes_validate.validate(apply(pod, injection.operations), kubernetes, strict=True)


def known_fields_only(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: known_fields_only(inner) for key, inner in value.items() if not key.startswith("future")}
    if isinstance(value, list):
        return [known_fields_only(inner) for inner in value]
    return value


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["$(HOME)", "`id`", "$(id)", "a;id", "../../etc", "/a/../b", "//a", "a b", "a\nb", "-rf", "'\"", "*"]
    ),
)


@settings(max_examples=300)
@given(
    st.sampled_from(
        ["model", "version", "mount-path", "model-path", "containers", "volume", "service-account", "models"]
    ),
    HOSTILE,
)
def test_whatever_an_annotation_holds_no_shell_sees_it_and_no_folder_is_left(
    injected: Injector, name: str, value: str
) -> None:
    pod = asking()
    pod["metadata"]["annotations"][f"{PREFIX}/{name}"] = value
    injection = injected.decide(pod)
    if injection.decision != "injected":
        return
    changed = apply(pod, injection.operations)["spec"]
    (fetch,) = changed["initContainers"]
    assert fetch["command"] == ["/bin/sh", "-c", SCRIPT, "model-fetch"]
    words = [*fetch["args"], *(variable["value"] for variable in changed["containers"][0]["env"])]
    paths = [mount["mountPath"] for mount in changed["containers"][0]["volumeMounts"]]
    for word in (*words, *paths):
        assert not set(word) & set("$`;\n \"'\\")
        assert ".." not in word.split("/")
        assert "//" not in word.removeprefix("s3://")
