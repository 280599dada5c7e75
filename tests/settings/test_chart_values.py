"""The chart's values in place of a settings file."""

from pathlib import Path

import pytest

from tests.settings.conftest import Load
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings, load

VALUES = Path(__file__).parents[2] / "charts" / "model-injector" / "values.yaml"


def test_the_settings_have_no_key_by_which_values_are_recognized() -> None:
    assert "config" not in {field.alias for field in Settings.model_fields.values()}


def test_the_charts_own_values_lack_only_the_bucket(loaded: Load) -> None:
    with pytest.raises(InvalidSettings, match="no bucket is set"):
        load(VALUES)
    text = VALUES.read_text()
    assert 'bucket: ""' in text
    assert loaded(text.replace('bucket: ""', "bucket: my-ml-bucket")) == Settings(bucket="my-ml-bucket")


def test_values_of_the_chart_alone_are_ignored(loaded: Load) -> None:
    values = (
        "{config: {bucket: my-ml-bucket}, replicaCount: 3, certificates: {mode: auto, certManager: {}}, global: {}, "
        "controller: {enabled: true, replicaCount: 2}}"
    )
    assert loaded(values) == Settings(bucket="my-ml-bucket")


KIND = "{group: argoproj.io, version: v1alpha1, resource: rollouts}"


@pytest.mark.parametrize(
    ("webhook", "resources"),
    [
        (f"{{workloads: {{enabled: true, kinds: [{KIND}]}}}}", ["rollouts"]),
        (f"{{workloads: {{kinds: [{KIND}]}}}}", ["rollouts"]),
        (f"{{workloads: {{enabled: false, kinds: [{KIND}]}}}}", []),
        (f"{{select: label, workloads: {{enabled: true, kinds: [{KIND}]}}}}", []),
        ("{workloads: {enabled: true, kinds: }}", []),
        ("{workloads: true}", []),
        ("{workloads: }", []),
        ("", []),
    ],
)
def test_the_kinds_that_the_chart_names_are_a_setting(loaded: Load, webhook: str, resources: list[str]) -> None:
    settings = loaded(f"{{config: {{bucket: my-ml-bucket}}, webhook: {webhook}}}")
    assert [kind.resource for kind in settings.workloads.kinds] == resources
    assert settings.workloads.names("argoproj.io", "rollouts") == bool(resources)
    assert not settings.workloads.names("", "rollouts")


def test_a_null_leaves_the_default_as_it_does_in_helm(loaded: Load) -> None:
    values = "{config: {bucket: my-ml-bucket, defaults: , fetch: {timeout: , numWorkers: 7}}}"
    settings = loaded(values)
    assert settings.defaults == Settings(bucket="my-ml-bucket").defaults
    assert (settings.fetch.timeout, settings.fetch.num_workers) == (1800, 7)


@pytest.mark.parametrize(
    "text", ["{bucket: abc, fetch: {runAsUser: }}", "{config: {bucket: abc, fetch: {runAsUser: null}}}"]
)
def test_a_null_is_a_value_where_a_setting_says_so(loaded: Load, text: str) -> None:
    assert loaded(text).fetch.run_as_user is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{config: {bucket: abc, default: {version: 1.2.3}}}", "unknown setting default; did you mean defaults"),
        ("{config: {bucket: abc, layout: ''}}", "setting layout: "),
        ("{config: {region: eu-west-1}, bucket: abc}", "setting bucket is outside config: set config.bucket"),
        ("{config: , replicaCount: 2}", "unknown setting replicaCount"),
        ("{config: {bucket: abc}, webhook: {workloads: {kinds: [{}]}}}", "setting workloads.kinds.0.group: "),
        ("{config: {}, replicaCount: 2}", "no bucket is set"),
        ("{config: settings.yaml}", "unknown setting config"),
        ("{bucket: abc, replicaCount: 2}", "unknown setting replicaCount"),
    ],
)
def test_an_invalid_value_is_one_clear_line(loaded: Load, text: str, line: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        loaded(text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
