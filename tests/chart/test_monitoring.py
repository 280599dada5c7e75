"""Alerts and dashboard: they ask for what is there."""

import json
import re
from collections.abc import Iterator
from typing import get_args

import promql_parser

from tests.chart.conftest import CHART, JSON, render
from webhook.admission.result import Decision
from webhook.catalog.lookup.index import SourceStatus
from webhook.http.metrics import Metrics

OF_THE_API_SERVER = {
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_rejection_count": {"name", "type", "operation", "error_type", "rejection_code"},
    "apiserver_admission_webhook_admission_duration_seconds_bucket": {"name", "type", "operation", "rejected", "le"},
}
ON = {
    **{name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")},
    "config": {"inventory": {"enabled": True}},
}


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


def exposed() -> dict[str, set[str]]:
    """What the webhook's /metrics shows, by name, with the labels of each."""
    metrics = Metrics()
    metrics.watch_catalog("default", lambda: SourceStatus(0, 0, 0, is_listed=True, problem=""))
    metrics.watch_inventory(lambda: 0, lambda: None)
    for family in vars(metrics).values():
        if getattr(family, "_labelnames", ()):
            family.labels(*family._labelnames)
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:{(.*)})? ", metrics.render().decode(), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_query_asks_for_series_and_labels_that_exist() -> None:
    known = {**exposed(), **OF_THE_API_SERVER, "up": set[str]()}
    for query in queries():
        found = selectors(query)
        assert found, query
        for selector in found:
            assert selector.name in known, query
            asked = {matcher.name for matcher in selector.matchers.matchers}
            assert asked <= known[selector.name] | {"namespace", "job"}, query
        grouped = {name.strip() for group in re.findall(r"by \(([^)]*)\)", query) for name in group.split(",")}
        assert grouped <= set().union(*(known[str(selector.name)] for selector in found)) | {"pod"}, query


def test_refusals_are_counted_under_the_name_that_the_alert_asks_for() -> None:
    assert 'decision="refused"' in rules()["ModelInjectorRefusals"]["expr"]
    assert "refused" in get_args(Decision)


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
        "ModelInjectorCatalogStale": {"model_injector_catalog_age_seconds"},
        "ModelInjectorInventoryStale": {"model_injector_inventory_age_seconds"},
    }
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules().values())


def test_without_an_inventory_nobody_waits_for_it() -> None:
    rendered = render({**ON, "config": {}})
    assert "model_injector_inventory" not in str(rendered.one("PrometheusRule"))


def test_each_release_looks_at_its_own_entry_and_the_dashboard_at_all() -> None:
    for values in ({}, {"webhook": {"name": "second"}}):
        rendered = render({**ON, **values})
        alerts = str(rendered.one("PrometheusRule"))
        assert set(re.findall(r'name="(pods\.[^"]+)"', alerts)) == {rendered.entry["name"]}
        (pattern,) = set(re.findall(r'name=~"([^"]+)"', " ".join(queries()))) - {"x"}
        assert re.fullmatch(pattern, rendered.entry["name"])


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
