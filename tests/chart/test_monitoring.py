"""Alerts and dashboard: they ask for what is there."""

import json
import re
from collections.abc import Iterator

import promql_parser

from tests.chart.conftest import CHART, JSON, render
from webhook.server.metrics import Metrics

OF_THE_API_SERVER = {
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
    "apiserver_admission_webhook_admission_duration_seconds_bucket",
}
ON = {name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")}


def rules() -> dict[str, JSON]:
    (group,) = render(ON).one("PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules().values())
    for panel in json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$job", "job")


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """The series that a query asks for. Raises ValueError for one that is no PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(query), pre_visit=visit)
    return found


def ours() -> set[str]:
    types = re.findall(r"^# TYPE (\S+) (\w+)", Metrics().render().decode(), re.MULTILINE)
    return {f"{name}_bucket" if kind == "histogram" else name for name, kind in types}


def test_every_query_asks_for_series_that_exist() -> None:
    for query in queries():
        found = selectors(query)
        assert found, query
        assert {selector.name for selector in found} <= ours() | OF_THE_API_SERVER | {"up"}


def test_there_is_an_alert_for_each_way_to_fail() -> None:
    asked = {name: {selector.name for selector in selectors(rule["expr"])} for name, rule in rules().items()}
    assert asked == {
        "ModelInjectorFailingOpen": {"apiserver_admission_webhook_fail_open_count"},
        "ModelInjectorFailingClosed": {"apiserver_admission_webhook_rejection_count"},
        "ModelInjectorDown": {"up"},
        "ModelInjectorErrors": {"model_injector_errors_total"},
        "ModelInjectorRefusals": {"model_injector_decisions_total"},
        "ModelInjectorSlow": {"model_injector_decision_seconds_bucket"},
        "ModelInjectorCertificateExpiry": {"model_injector_certificate_expiry_timestamp_seconds"},
        "ModelInjectorCertificateErrors": {"model_injector_certificate_errors_total"},
    }
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules().values())


def test_series_of_api_servers_are_those_of_the_entry_that_is_installed() -> None:
    name = render().entry["name"]
    for query in queries():
        for selector in selectors(query):
            if selector.name in OF_THE_API_SERVER:
                assert f'name="{name}"' in query


def test_alerts_look_at_the_release_they_came_with() -> None:
    query = rules()["ModelInjectorDown"]["expr"]
    assert query == 'absent(up{namespace="model-injector", job="model-injector-metrics"} == 1)'
    rendered = render(ON)
    monitor = rendered.one("ServiceMonitor")["spec"]
    service = rendered["Service", "model-injector-metrics"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (
        not monitor["selector"]["matchLabels"].items()
        <= rendered["Service", "model-injector"]["metadata"]["labels"].items()
    )
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_grafana_finds_the_dashboard_by_its_label() -> None:
    dashboard = render(ON)["ConfigMap", "model-injector-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["model-injector.json"]) == json.loads(
        (CHART / "files" / "dashboard.json").read_text()
    )
