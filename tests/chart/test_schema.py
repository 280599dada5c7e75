"""The chart renders valid objects, and rejects invalid values by name."""

import json
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.conftest import BUCKET, CHART, JSON, RenderError, helm, render, with_bucket
from webhook import __version__
from webhook.settings import Settings
from webhook.settings.loading import declared, load

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
NOT_KUBERNETES = ("cert-manager.io/", "monitoring.coreos.com/")


def values_for(case: str, kubernetes: str) -> JSON:
    return {**CASES[case], "guard": {"enabled": False}} if kubernetes == "1.28" else CASES[case]


@pytest.mark.parametrize(
    ("case", "kubernetes"),
    [
        *((case, "1.28") for case in CASES if case != "node cache that marks nodes"),  # it needs a newer one
        *((case, "1.37") for case in CASES),
    ],
)
def test_every_object_is_valid_by_the_official_schema_and_both_helms_render_it(case: str, kubernetes: str) -> None:
    values = values_for(case, kubernetes)
    rendered = render(values, kubernetes=kubernetes)
    for content in rendered.values():
        if not content["apiVersion"].startswith(NOT_KUBERNETES):
            kubernetes_validate.validate(content, kubernetes, strict=True)
    assert rendered == render(values, kubernetes=kubernetes, which="oldest")


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_about(case: str, which: str) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, which=which, values=with_bucket(CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_each_time_renders_the_same(case: str) -> None:
    assert render(CASES[case]) == render(CASES[case], anew=True)


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
    given = CASES[case].get("config", {}).get("fetch", {})
    assert settings.fetch.num_workers == given.get("numWorkers", 32)


def test_every_setting_can_be_a_value_and_is_written_as_it_is() -> None:
    config = CASES["settings"]["config"]
    groups = {setting.path.partition(".")[0] for setting in declared()}
    # Strategies bring settings of their own, and workloads are set by another value.
    assert groups - {"strategies", "workloads"} == {"bucket", *config}
    rendered = render(CASES["settings"]).settings
    assert {**rendered, **config} == {
        **rendered,
        "bucket": BUCKET,
        "server": {"drain": 30},
        "certificates": config["certificates"],
    }
    assert rendered["server"] == {"port": 8443, "opsPort": 8080, "drain": 30}
    assert config["certificates"].items() <= rendered["certificates"].items()


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize(
    "name",
    [
        "prefix",
        "region",
        "sources",
        "rules",
        "fetch",
        "catalog",
        "inventory",
        "preview",
        "certificates",
        "loads",
        "controller",
    ],
)
def test_a_null_removes_a_setting(name: str, which: str) -> None:
    rendered = render({"config": {name: None}}, which=which)
    assert rendered.settings.get(name) == (rendered.settings["certificates"] if name == "certificates" else None)


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_a_null_reaches_the_one_setting_that_has_it_as_a_value(which: str) -> None:
    rendered = render({"config": {"fetch": {"runAsUser": None, "numWorkers": 7}}}, which=which)
    assert rendered.settings["fetch"] == {"runAsUser": None, "numWorkers": 7}


def test_the_chart_and_the_program_are_of_one_version_and_one_prefix() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert values["config"]["annotationPrefix"] == Settings.model_fields["annotation_prefix"].default


def test_every_value_is_in_the_schema_and_every_value_of_the_chart_alone_has_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    properties = schema["properties"]
    assert set(properties) == {*values, "global", "enabled"}
    assert values["config"].keys() <= properties["config"]["properties"].keys()
    for name in values.keys() - {"config"}:
        if values[name] and "properties" in properties[name]:
            assert set(properties[name]["properties"]) == set(values[name]), name


def objects(schema: object) -> Iterator[JSON]:
    """The schemas of mappings whose keys are known."""
    if isinstance(schema, list):
        for each in schema:
            yield from objects(each)
    elif isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for each in schema.values():
            yield from objects(each)


def test_a_mapping_takes_no_key_that_the_schema_does_not_know() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    del schema["allOf"]  # it only narrows the rest
    found = list(objects(schema))
    assert len(found) > 20
    for each in found:
        assert each.get("additionalProperties") is False, each


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replicaCuont": 3}, "replicaCuont"),
        ({"bucket": "my-ml-bucket"}, "bucket"),
        ({"catalog": {"mode": "s3"}}, "catalog"),
        ({"certificates": {"caLifetime": "720h"}}, "caLifetime"),
        ({"webhook": {"timeoutSecond": 3}}, "timeoutSecond"),
        ({"webhook": {"timeoutSeconds": 11}}, "timeoutSeconds"),
        ({"webhook": {"failurePolicy": "fail"}}, "failurePolicy"),
        ({"guard": {"validationActions": []}}, "validationActions"),
        ({"guard": {"validationActions": ["Deny", "Warn"]}}, "validationActions"),
        ({"guard": {"validationActions": ["Warn", "Warn"]}}, "validationActions"),
        ({"certificates": {"mode": "manual"}}, "mode"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"replicaCount": "2"}, "replicaCount"),
        ({"webhook": {"namespaceSelector": {"matchLabel": {"a": "b"}}}}, "matchLabel"),
        ({"webhook": {"name": "a..b"}}, "name"),
        ({"webhook": None}, "webhook"),
        ({"webhook": {"workloads": True}}, "workloads.*object"),
        ({"webhook": {"workloads": {"kind": []}}}, "kind"),
        ({"webhook": {"workloads": {"kinds": ["rollouts"]}}}, "object"),
        ({"webhook": {"workloads": {"kinds": [{"version": "v1", "resource": "jobsets"}]}}}, "group"),
        ({"webhook": {"workloads": {"kinds": [{"group": "a.io", "version": "v1", "resource": "*"}]}}}, "resource"),
        ({"webhook": {"workloads": {"kinds": [{"group": "*", "version": "v1", "resource": "a"}]}}}, "group"),
        ({"webhook": {"workloads": {"kinds": [{"group": "a.io", "version": "*", "resource": "a"}]}}}, "version"),
        (
            {"webhook": {"workloads": {"kinds": [{"group": "a.io", "version": "v1", "resource": "a/scale"}]}}},
            "resource",
        ),
        (
            {"webhook": {"workloads": {"kinds": [{"group": "", "version": "v1", "resource": "pods"}]}}},
            r"kinds\[0\] is pods, which the webhook handles without it: remove the item",
        ),
        ({"webhook": {"workloads": {"kinds": [{"group": "batch", "version": "v1", "resource": "jobs"}]}}}, "is jobs"),
        ({"config": {"workloads": {"kinds": []}}}, r"set webhook\.workloads\.kinds"),
        ({"webhook": {"namespaceSelector": None}}, "namespaceSelector"),
        ({"replicaCount": None}, "replicaCount"),
        ({"podDisruptionBudget": {"maxUnavailable": -1}}, "maxUnavailable"),
        ({"certificates": {"mode": "provided"}}, "set certificates.provided.secretName"),
        ({"config": None}, "config"),
        ({"config": {"buket": "abc"}}, "buket"),
        ({"config": {"fetch": {"numWorker": 3}}}, "numWorker"),
        ({"config": {"sources": {"a": {"bucket": "abc", "regoin": "x"}}}}, "regoin"),
        ({"config": {"bucket": "s3://my-ml-bucket"}}, "bucket"),
        ({"config": {"layout": "{model}"}}, "layout"),
        ({"config": {"annotationPrefix": "Models"}}, "annotationPrefix"),
        ({"config": {"annotationPrefix": None}}, "annotationPrefix"),
        ({"config": {"defaults": {"version": 1.0}}}, "version"),
        ({"config": {"fetch": {"timeout": "soon"}}}, "timeout"),
        ({"config": {"server": {"port": 70000}}}, "port"),
        ({"config": {"server": {"port": 0}}}, "port"),
        ({"config": {"server": {"drain": "10s"}}}, "drain"),
        ({"config": {"server": None}}, "server"),
        ({"config": {"server": {"opsPort": None}}}, "opsPort"),
        ({"config": {"sources": {"a": {"prefix": "x"}}}}, "bucket"),
        ({"config": {"fetch": {"timeout": "0"}}}, "timeout"),
        ({"config": {"fetch": {"timeout": ""}}}, "timeout"),
        ({"config": {"fetch": {"env": [{"value": "x"}]}}}, "name"),
        ({"config": {"fetch": {"env": [{"name": "A", "value": 1}]}}}, "value"),
        ({"config": {"fetch": {"resources": {"limits": {"memory": "lots"}}}}}, "memory"),
        ({"config": {"defaults": {"mountPath": "models"}}}, "mountPath"),
        ({"config": {"server": {"port": 8080}}}, r"config\.server\.port and config\.server\.opsPort are the same"),
        ({"config": {"bucket": ""}}, r"no bucket is set: set config\.bucket, or config\.sources"),
        ({"config": {"bucket": None, "sources": None}}, r"no bucket is set: set config\.bucket, or config\.sources"),
        ({"controller": {"enabled": "yes"}}, "enabled"),
        ({"controller": {"replicas": 3}}, "replicas"),
        ({"controller": {"replicaCount": 0}}, "replicaCount"),
        ({"controller": {"serviceAccount": {"role": "x"}}}, "role"),
        ({"controller": None}, "controller"),
        ({"nodeCache": {"enabled": "yes"}}, "enabled"),
        ({"nodeCache": {"folder": "/x"}}, "folder"),
        ({"nodeCache": None}, "nodeCache"),
        ({"config": {"strategies": {"node-cache": {"folder": "models"}}}}, "folder"),
        ({"config": {"loads": [{"strategy": "s3-init"}]}}, "strategy"),
        ({"config": {"loads": [{"models": ["a"]}]}}, "strategy"),
        ({"config": {"controller": {"rollouts": {"enable": True}}}}, "enable"),
        ({"config": {"certificates": {"mode": "provided"}}}, r"remove it, and set certificates\.mode"),
        ({"config": {"certificates": {"secret": "x"}}}, r"config\.certificates\.secret follows from the release"),
    ],
)
def test_an_invalid_value_is_named(values: JSON, complaint: str, which: str) -> None:
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
    values: JSON = {"global": {"region": "eu-west-1"}, "model-injector": {"enabled": True, **with_bucket()}}
    parents = {"config": {"bucket": "of-the-parent"}}
    assert render({**values, **parents}, chart=tmp_path, which=which).settings["bucket"] == BUCKET
    values["model-injector"]["enabled"] = False
    assert not render(values, chart=tmp_path, which=which)
