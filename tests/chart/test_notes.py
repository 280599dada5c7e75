"""What helm tells who installs the chart, and what the page about installing does."""

import re

import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.conftest import BUCKET, CHART, JSON, helm, render
from webhook.settings.loading import declared


def notes(values: JSON) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", "/dev/null")
        text = helm("install", "x", CHART, "--namespace", "y", "--dry-run=client", values={**BUCKET, **values})
    return " ".join(text.partition("NOTES:")[2].split())


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        (
            CASES["one replica that may be missing"],
            "WARNING: one replica. While it restarts or moves, annotated pods come up",
        ),
        ({"replicaCount": 1}, "WARNING: one replica. While it restarts or moves, no annotated pod can be created"),
        ({"autoscaling": {"enabled": True, "minReplicas": 1}}, "WARNING: one replica"),
        ({"webhook": {"failurePolicy": "Ignore"}}, "WARNING: webhook.failurePolicy is Ignore"),
        ({"podDisruptionBudget": {"enabled": False}}, "WARNING: without a PodDisruptionBudget"),
        ({"certificates": {"mode": "provided", "provided": {"secretName": "x"}}}, "provided.caBundle is empty"),
        ({"webhook": {"optIn": True}}, "NOTE: `helm test` needs the label"),
        ({"webhook": {"name": "second"}}, "WARNING: webhook.name sorts after"),
        ({"webhook": {"name": "aaa"}}, "annotationPrefix is: where another release looks for the same"),
        ({"test": {"namespace": "y"}}, "WARNING: the release's own namespace, y, is left out"),
    ],
)
def test_the_notes_warn_of_weak_choices(values: JSON, warning: str) -> None:
    assert warning in notes(values)


def test_the_notes_say_how_to_try_it_and_warn_of_nothing_by_default() -> None:
    text = notes({})
    assert "helm test -n y x" in text
    assert "kubectl -n y rollout status deployment/x-model-injector" in text
    assert "WARNING" not in text


def documented() -> list[str]:
    pages = ((CHART.parents[1] / "docs" / name).read_text() for name in ("install.md", "catalog.md"))
    return [each for page in pages for each in re.findall(r"```yaml\n# values\.yaml\n(.*?)```", page, re.DOTALL)]


@pytest.mark.parametrize("number", range(len(documented())))
def test_the_values_of_the_pages_can_be(number: int) -> None:
    values = yaml.safe_load(documented()[number])
    rendered = render(values)
    assert rendered.settings["bucket"] == values["bucket"]


def test_the_values_that_the_install_page_names_exist() -> None:
    page = (CHART.parents[1] / "docs" / "install.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    of_settings = {setting.path for setting in declared()}
    groups = "|".join(name for name, value in values.items() if isinstance(value, dict))
    for path in re.findall(rf"[`\s=](?=(?:{groups})\.[a-z])([a-zA-Z]+(?:\.[a-zA-Z]+)+)\b(?!\.io|/)", page):
        if path in of_settings:
            continue
        found = values
        for key in path.split("."):
            found = found[key]
