"""The notes that helm prints after an installation, and the values in the documentation."""

import re

import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.conftest import CHART, JSON, helm, with_bucket
from webhook.settings.loading import declared


def notes(values: JSON) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", "/dev/null")
        text = helm("install", "x", CHART, "--namespace", "y", "--dry-run=client", values=with_bucket(values))
    return " ".join(text.partition("NOTES:")[2].split())


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        (
            CASES["one replica that may be missing"],
            "WARNING: there is one replica. While it restarts or moves to another node, annotated pods start without",
        ),
        ({"replicaCount": 1}, "to another node, annotated pods cannot be created. Set replicaCount to 2"),
        ({"autoscaling": {"enabled": True, "minReplicas": 1}}, "WARNING: there is one replica"),
        ({"webhook": {"failurePolicy": "Ignore"}}, "WARNING: webhook.failurePolicy is Ignore"),
        ({"podDisruptionBudget": {"enabled": False}}, "WARNING: there is no PodDisruptionBudget"),
        ({"certificates": {"mode": "provided", "provided": {"secretName": "x"}}}, "provided.caBundle is empty"),
        ({"webhook": {"optIn": True}}, "the namespace of `helm test` also needs the label"),
        ({"webhook": {"name": "second"}}, "WARNING: webhook.name sorts after"),
        ({"webhook": {"name": "aaa"}}, "config.annotationPrefix is the default. If another release handles the same"),
        ({"config": {"catalog": {"mode": "s3"}}}, "the service account x-model-injector in y needs a role"),
        (
            CASES["a controller of nothing"],
            "as the service account x-model-injector-controller, which needs a role too",
        ),
        ({"config": {"loads": [{"strategy": "s3-mount"}]}}, "nothing is loaded, because controller.enabled is false"),
        (
            CASES["a node cache"],
            "need a label of their namespace: kubectl label namespace y pod-security.kubernetes.io/enforce=privileged",
        ),
        (CASES["node cache"], "reads the buckets as the service account x-model-injector-node-cache, which needs"),
        ({"test": {"namespace": "y"}}, "WARNING: the webhook excludes the release's own namespace, y:"),
    ],
)
def test_the_notes_warn_of_weak_choices(values: JSON, warning: str) -> None:
    assert warning in notes(values)


def test_the_notes_say_how_to_try_it_and_warn_of_nothing_by_default() -> None:
    text = notes({})
    assert "all namespaces except kube-system, kube-node-lease, y and those with the label" in text
    assert "helm test -n y x" in text
    assert "kubectl -n y rollout status deployment/x-model-injector" in text
    assert "WARNING" not in text
    assert "The catalog reads" not in text
    assert "privileged" not in text
    assert "The node cache reads" not in notes(CASES["a node cache"])


@pytest.mark.parametrize("name", ["install.md", "controller.md"])
def test_the_values_that_a_page_names_exist(name: str) -> None:
    page = (CHART.parents[1] / "docs" / name).read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    of_settings = {f"config.{setting.path}" for setting in declared()}
    groups = "|".join(name for name, value in values.items() if isinstance(value, dict))
    for path in re.findall(rf"[`\s=](?=(?:{groups})\.[a-z])([a-zA-Z]+(?:\.[a-zA-Z0-9-]+)+)\b(?!\.io|/)", page):
        if path in of_settings:
            continue
        found = values
        for key in path.split("."):
            found = found[key]


@pytest.mark.parametrize("name", ["install.md", "controller.md"])
def test_a_page_names_settings_by_their_place_in_the_values(name: str) -> None:
    page = (CHART.parents[1] / "docs" / name).read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for setting in declared():
        group, _, name = setting.path.partition(".")
        if name and name not in values.get(group, {}):
            found = re.search(rf"(?<!the setting )[`=]{re.escape(setting.path)}\b", page)
            assert not found, setting.path
