"""What the chart renders is valid, and which values can't be."""

import json
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.conftest import BUCKET, CHART, JSON, RenderError, helm, render
from webhook import __version__
from webhook.settings import Settings
from webhook.settings.loading import declared, load

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
NOT_KUBERNETES = ("cert-manager.io/", "monitoring.coreos.com/")


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize("kubernetes", ["1.28", "1.37"])
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid_by_the_official_schema(case: str, kubernetes: str, which: str) -> None:
    values = CASES[case]
    if kubernetes == "1.28":
        values = {**values, "guard": {"enabled": False}}
    rendered = render(values, which=which, kubernetes=kubernetes)
    for content in rendered.values():
        if not content["apiVersion"].startswith(NOT_KUBERNETES):
            kubernetes_validate.validate(content, kubernetes, strict=True)


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_about(case: str, which: str) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, which=which, values={**BUCKET, **CASES[case]})


@pytest.mark.parametrize("case", CASES)
def test_both_helms_and_each_time_render_the_same(case: str) -> None:
    first = render(CASES[case])
    assert first == render(CASES[case]) == render(CASES[case], which="oldest")


@pytest.mark.parametrize("case", CASES)
def test_the_webhook_takes_the_settings_that_it_is_given(case: str, tmp_path: Path) -> None:
    rendered = render(CASES[case])
    (tmp_path / "settings.yaml").write_text(rendered.settings_file)
    settings = load(tmp_path / "settings.yaml")
    assert (
        settings.certificates.webhook_configuration == rendered.one("MutatingWebhookConfiguration")["metadata"]["name"]
    )
    service = rendered.entry["clientConfig"]["service"]
    assert settings.certificates.hosts == (f"{service['name']}.{service['namespace']}.svc",)
    if settings.certificates.mode == "auto":
        assert (
            rendered["Secret", settings.certificates.secret]["metadata"]["namespace"] == settings.certificates.namespace
        )
        (rule,) = rendered.one("Role")["rules"]
        assert rule["resourceNames"] == [settings.certificates.secret]
    ports = {each["name"]: each["containerPort"] for each in rendered.container["ports"]}
    assert ports == {"webhook": settings.server.port, "ops": settings.server.ops_port}
    given = CASES[case].get("fetch", {})
    assert settings.fetch.num_workers == given.get("numWorkers", 32)


def test_every_setting_can_be_a_value() -> None:
    """But for those that follow from the release."""
    rendered = render(CASES["settings"]).settings
    given = {name for name in rendered if name not in ("server", "certificates")}
    assert given == {setting.path.split(".")[0] for setting in declared()} - {"server", "certificates"}
    assert set(rendered["certificates"]) == {
        setting.path.split(".")[1] for setting in declared() if setting.path.startswith("certificates.")
    }


def test_the_chart_and_the_program_are_of_one_version_and_one_prefix() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert values["annotationPrefix"] == Settings.model_fields["annotation_prefix"].default


def test_every_value_is_in_the_schema_and_every_key_of_the_schema_has_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) == {*values, "global", "enabled"}
    for name, value in values.items():
        reference = schema["properties"][name].get("$ref", "").removeprefix("#/$defs/")
        if value and reference:
            assert set(schema["$defs"][reference]["properties"]) == set(value), name


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replicaCuont": 3}, "replicaCuont"),
        ({"fetch": {"numWorker": 3}}, "numWorker"),
        ({"webhook": {"timeoutSecond": 3}}, "timeoutSecond"),
        ({"sources": {"a": {"bucket": "abc", "regoin": "x"}}}, "regoin"),
        ({"webhook": {"timeoutSeconds": 11}}, "timeoutSeconds"),
        ({"webhook": {"failurePolicy": "fail"}}, "failurePolicy"),
        ({"certificates": {"mode": "manual"}}, "mode"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"bucket": "s3://my-ml-bucket"}, "bucket"),
        ({"layout": "{model}"}, "layout"),
        ({"annotationPrefix": "Models"}, "annotationPrefix"),
        ({"defaults": {"version": 1.0}}, "version"),
        ({"fetch": {"timeout": "soon"}}, "timeout"),
        ({"replicaCount": "2"}, "replicaCount"),
        ({"server": {"port": 70000}}, "port"),
        ({"webhook": {"namespaceSelector": {"matchLabel": {"a": "b"}}}}, "matchLabel"),
        ({"webhook": {"name": "a..b"}}, "name"),
        ({"webhook": None}, "webhook"),
        ({"webhook": {"namespaceSelector": None}}, "namespaceSelector"),
        ({"annotationPrefix": None}, "annotationPrefix"),
        ({"replicaCount": None}, "replicaCount"),
        ({"sources": {"a": {"prefix": "x"}}}, "bucket"),
        ({"fetch": {"timeout": "0"}}, "timeout"),
        ({"fetch": {"timeout": ""}}, "timeout"),
        ({"fetch": {"env": [{"value": "x"}]}}, "name"),
        ({"fetch": {"env": [{"name": "A", "value": 1}]}}, "value"),
        ({"fetch": {"resources": {"limits": {"memory": "lots"}}}}, "memory"),
        ({"defaults": {"mountPath": "models"}}, "mountPath"),
        ({"podDisruptionBudget": {"maxUnavailable": -1}}, "maxUnavailable"),
        ({"server": {"port": 8080}}, r"server\.port and server\.opsPort are the same"),
        ({"bucket": ""}, "no bucket is set: set `bucket`, or `sources`"),
        ({"certificates": {"mode": "provided"}}, "set certificates.provided.secretName"),
    ],
)
def test_values_that_cannot_be_are_named(values: JSON, complaint: str, which: str) -> None:
    with pytest.raises(RenderError, match=complaint):
        render(values, which=which)


def test_the_guard_needs_a_kubernetes_that_has_it() -> None:
    with pytest.raises(RenderError, match=r"guard\.enabled needs Kubernetes 1\.30"):
        render({"guard": {"enabled": True}}, kubernetes="1.29")


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_a_kubernetes_that_is_too_old_is_refused(which: str) -> None:
    with pytest.raises(RenderError, match=r">=1\.28"):
        render(kubernetes="1.27", which=which)


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_the_chart_can_be_a_part_of_another(which: str, tmp_path: Path) -> None:
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "model-injector").symlink_to(CHART)
    dependency = {"name": "model-injector", "version": ">=0", "condition": "model-injector.enabled"}
    chart = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values: JSON = {"global": {"region": "eu-west-1"}, "model-injector": {"enabled": True, **BUCKET}}
    assert (
        render({**values, "bucket": "of-the-parent"}, chart=tmp_path, which=which).settings["bucket"] == "my-ml-bucket"
    )
    values["model-injector"]["enabled"] = False
    assert not render(values, chart=tmp_path, which=which)
