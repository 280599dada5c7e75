"""Alerts and dashboard: they ask for what is there."""

import json
import re
from collections.abc import Iterator
from typing import get_args

import promql_parser
import pytest

from tests.chart.conftest import CHART, JSON, render
from webhook.admission.result import Decision
from webhook.catalog.lookup.index import SourceStatus
from webhook.controller.rollouts import VERDICTS
from webhook.http.metrics import Metrics
from webhook.node_cache.metrics import GAUGES, CacheMetrics

OF_THE_API_SERVER = {
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_rejection_count": {"name", "type", "operation", "error_type", "rejection_code"},
    "apiserver_admission_webhook_admission_duration_seconds_bucket": {"name", "type", "operation", "rejected", "le"},
}
CONTROLLER = "model_injector_controller_"
OF_THE_CONTROLLER = {
    f"{CONTROLLER}{name}": set(labels.split())
    for name, labels in {
        "leader": "",
        "loads": "strategy state",
        "load_capacity_bytes": "load",
        "load_requested_bytes": "load",
        "rollouts": "state",
        "steps_total": "step result",
        "requests_total": "method status",
        "watch_age_seconds": "resource",
        "errors_total": "area",
        "downloads": "model namespace",
        "download_bytes": "model namespace",
        "download_total_bytes": "model namespace",
        "download_bytes_per_second": "model namespace",
        "deleted_total": "kind",
        "tagged_total": "step",
    }.items()
}
NODE_CACHE = "model_injector_node_cache_"
CONFIG: JSON = {"inventory": {"enabled": True}, "catalog": {"mode": "s3"}}
ON = {
    **{
        name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard", "controller", "nodeCache")
    },
    "config": CONFIG,
}


def rules(**config: JSON) -> dict[str, JSON]:
    (group,) = render({**ON, "config": {**CONFIG, **config}}).one("PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules().values())
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$job", "job")


def panels() -> list[JSON]:
    """The dashboard's panels. Those of a collapsed row are in it."""
    found = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
    return [panel for each in found for panel in (each["panels"] if each["type"] == "row" else [each])]


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
    return shown(metrics)


def shown(metrics: Metrics | CacheMetrics) -> dict[str, set[str]]:
    """What /metrics shows when each label has a value, by name, with the labels of each."""
    for family in vars(metrics).values():
        if getattr(family, "_labelnames", ()):
            family.labels(*family._labelnames)
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:{(.*)})? ", metrics.render().decode(), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.fixture
def of_the_node_cache() -> dict[str, set[str]]:
    """What the /metrics of the driver shows."""
    metrics = CacheMetrics()
    metrics.watch(dict.fromkeys(GAUGES, float))
    return {name: labels for name, labels in shown(metrics).items() if name.startswith(NODE_CACHE)}


def test_every_query_asks_for_series_and_labels_that_exist(of_the_node_cache: dict[str, set[str]]) -> None:
    known = {**exposed(), **OF_THE_CONTROLLER, **of_the_node_cache, **OF_THE_API_SERVER, "up": set[str]()}
    for query in queries():
        found = selectors(query)
        assert found, query
        for selector in found:
            assert selector.name in known, query
            asked = {matcher.name for matcher in selector.matchers.matchers}
            assert asked <= known[selector.name] | {"namespace", "job"}, query
        grouped = {name.strip() for group in re.findall(r"by \(([^)]*)\)", query) for name in group.split(",")}
        assert grouped <= set().union(*(known[str(selector.name)] for selector in found)) | {"pod", "node"}, query


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
        "ModelInjectorControllerWithoutLeader": {f"{CONTROLLER}leader"},
        "ModelInjectorControllerErrors": {f"{CONTROLLER}errors_total"},
        "ModelInjectorControllerWatchStale": {f"{CONTROLLER}watch_age_seconds", f"{CONTROLLER}leader"},
        "ModelInjectorLoadsFailed": {f"{CONTROLLER}loads"},
        "ModelInjectorLoadCapacity": {f"{CONTROLLER}load_requested_bytes", f"{CONTROLLER}load_capacity_bytes"},
        "ModelInjectorRolloutUndone": {f"{CONTROLLER}rollouts"},
        "ModelInjectorNodeCacheDown": {"up"},
        "ModelInjectorNodeCacheFailures": {f"{NODE_CACHE}failures_total"},
        "ModelInjectorRolloutsWaiting": {f"{CONTROLLER}rollouts"},
    }
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules().values())


def test_states_of_rollouts_are_those_that_alerts_ask_for() -> None:
    asked = re.findall(r'rollouts{.*?state="(\w+)"', "".join(rule["expr"] for rule in rules().values()))
    assert sorted(asked) == ["undone", "waiting"]
    assert set(asked) <= set(VERDICTS)


def test_workloads_may_wait_for_a_maintenance_window_which_is_open_once_a_week_at_least() -> None:
    windows = {"rollouts": {"enabled": True, "maintenance": [{"days": ["Sat"]}]}}
    waits = [each["ModelInjectorRolloutsWaiting"]["for"] for each in (rules(), rules(controller=windows))]
    assert waits == ["24h", "8d"]


def test_without_an_inventory_nobody_waits_for_it() -> None:
    rendered = render({**ON, "config": {"catalog": {"mode": "s3"}}})
    assert "model_injector_inventory" not in str(rendered.one("PrometheusRule"))


def test_without_a_controller_nobody_waits_for_its_election() -> None:
    rendered = render({**ON, "controller": {"enabled": False}})
    assert CONTROLLER not in str(rendered.one("PrometheusRule"))
    assert "honorLabels" not in str(rendered.one("ServiceMonitor"))


def test_each_metric_of_controller_and_node_cache_has_a_panel(of_the_node_cache: dict[str, set[str]]) -> None:
    text = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    assert set(re.findall(rf"{CONTROLLER}\w+", text)) == OF_THE_CONTROLLER.keys()
    shown_by_driver = {name for name in of_the_node_cache if not name.endswith("_created")}
    assert set(re.findall(rf"{NODE_CACHE}\w+", text)) == shown_by_driver


def test_the_dashboard_finds_the_jobs_of_webhook_controller_and_node_cache() -> None:
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    (query,) = [each["query"] for each in dashboard["templating"]["list"] if each["name"] == "job"]
    assert set(re.findall(r"model_injector_\w+", query)) == {
        "model_injector_build_info",
        f"{CONTROLLER}leader",
        f"{NODE_CACHE}versions",
    }


def test_panels_do_not_overlap() -> None:
    identifiers = [panel["id"] for panel in panels()]
    assert len(identifiers) == len(set(identifiers))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(places) == len(set(places))


def test_the_controllers_metrics_keep_the_namespace_of_a_download() -> None:
    rendered = render(ON)
    (endpoint,) = rendered.one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    service = rendered["Service", "model-injector-controller"]
    selected = rendered.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]


def test_alerts_of_the_controller_ask_for_the_job_of_its_service() -> None:
    for rule in rules().values():
        for selector in selectors(rule["expr"]):
            if selector.name in OF_THE_CONTROLLER:
                asked = {each.name: each.value for each in selector.matchers.matchers}
                assert (asked["namespace"], asked["job"]) == ("model-injector", "model-injector-controller")


def test_alerts_of_the_node_cache_ask_for_the_job_of_its_service_and_pass_over_what_pods_ask_wrongly() -> None:
    (down,) = selectors(rules()["ModelInjectorNodeCacheDown"]["expr"])
    (failures,) = selectors(rules()["ModelInjectorNodeCacheFailures"]["expr"])
    job = {"namespace": "model-injector", "job": "model-injector-node-cache"}
    assert {each.name: each.value for each in down.matchers.matchers} == job
    asked = {each.name: each.value for each in failures.matchers.matchers}
    assert asked == {**job, "reason": "NotFound|Unauthorized|NotReady"}


def test_metrics_of_the_node_cache_have_the_name_of_the_node() -> None:
    rendered = render(ON)
    (endpoint,) = rendered.one("ServiceMonitor")["spec"]["endpoints"]
    (relabeling,) = endpoint["relabelings"]
    assert relabeling["targetLabel"] == "node"
    component, node = relabeling["sourceLabels"]
    labels = rendered.of_node_cache("DaemonSet")["spec"]["template"]["metadata"]["labels"]
    prefix = "__meta_kubernetes_pod_label_"
    of_pod = {f"{prefix}{re.sub('[^a-zA-Z0-9_]', '_', name)}": value for name, value in labels.items()}
    assert node == "__meta_kubernetes_pod_node_name"
    found = re.fullmatch(relabeling["regex"], f"{of_pod[component]};node-1")
    assert found
    assert found[1] == "node-1"
    assert not re.fullmatch(relabeling["regex"], "webhook;node-1")


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
