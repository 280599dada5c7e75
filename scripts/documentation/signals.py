"""The pages about what the programs tell: metrics, reasons, events, log lines."""

import ast
import importlib
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import webhook
from documentation.table import table
from webhook.admission.result import REASONS
from webhook.controller.events import DESCRIBED
from webhook.controller.metrics import ControllerMetrics
from webhook.fetching.script import KNOWN_ERRORS, SCRIPT
from webhook.http.metrics import Metrics
from webhook.model.refusals import Refusal
from webhook.node_cache.metrics import GAUGES, CacheMetrics
from webhook.node_cache.refusals import MEANINGS
from webhook.node_cache.refusals import REASONS as STATUSES

METRICS_PAGE = """# Metrics

Each process answers `GET /metrics` on its `opsPort` in Prometheus' text format: the webhook's replicas, the controller,
and the node cache on each node. The chart's `serviceMonitor`, `prometheusRule` and `dashboard` use them;
[operations](../operations.md) says what the alerts mean. The standard metrics of a process (`process_…`) are there,
too.

A counter has the ending `_total`. A histogram has the endings `_bucket`, `_count` and `_sum`.

## The webhook

{webhook}

## The controller

Metrics of decisions are set by the elected replica alone.

{controller}

## The node cache

{node_cache}
"""
REASONS_PAGE = """# Reasons and events

A reason is a word in CamelCase that identifies a case. Reasons stay the same from version to version, so that alerts
and scripts can use them; the messages beside them may change.

## Decisions of the webhook

The metric `model_injector_decisions_total` and the webhook's log line `decision` have them.

### Refusals

The pod is not created; the API server answers with the code 422 and the message.
[Troubleshooting](../troubleshooting.md#kubectl-apply-warns-or-refuses) lists the messages.

{refusals}

### Other decisions

{decisions}

## Downloads

{downloads}
[How a download ends](../fetch.md#how-it-ends) describes each. Jobs that load a volume use the same script.

## The node cache

An event `FailedMount` of the pod begins with the reason. kubelet tries again in each case. The metric
`model_injector_node_cache_failures_total` counts by reason.

{node_cache}

## Events of the controller

`kubectl describe` shows the events of an object.

{events}
"""
LOGS_PAGE = """# Log lines

Every process writes one JSON object a line to its standard output, with `time`, `level` and `message`. An unexpected
error has its traceback in `exception`. Further fields name what a line is about; `problem` says what went wrong.

A line `decision` is written for each AdmissionReview, with `uid`, `kind`, `namespace`, `name` or `generateName`,
`decision`, `reason`, `operations`, `models` and `milliseconds`. [Reasons](reasons.md) are a fixed set of words. No line
has the pod, its annotations or its environment.

{lines}
"""


_WRITERS = {
    "certs": "webhook",
    "webhook/controller": "controller",
    "webhook/node_cache": "node cache",
}
"""Who writes the lines of a folder: where no entry is, the webhook."""
_LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}
"""The level by the name of the logger's method."""


def refusal_reasons() -> dict[str, str]:
    """The reason of each class of refusals, with the meaning that its docstring gives."""
    for module in pkgutil.walk_packages(webhook.__path__, "webhook."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    classes = sorted(set(_classes(Refusal)), key=lambda found: found.reason)
    return {found.reason: (found.__doc__ or "").split("\n\n")[0] for found in classes}


def log_lines(checkout: Path) -> dict[str, tuple[set[str], set[str]]]:
    """The levels, and the programs that write it, by the message of a log line."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in (*(checkout / "webhook").rglob("*.py"), *(checkout / "certs").rglob("*.py")):
        folder = path.relative_to(checkout).parent.as_posix()
        writer = next((name for start, name in _WRITERS.items() if folder.startswith(start)), "webhook")
        text = path.read_text()
        nodes = ast.walk(ast.parse(text)) if "_log." in text or "write(" in text else ()
        for node in nodes:
            for message, level in _written(node):
                levels, writers = found.setdefault(message, (set(), set()))
                levels.add(level)
                writers.add(writer)
    return found


def _written(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The messages of a call that writes a log line, with its level."""
    if not isinstance(node, ast.Call) or not node.args:
        return
    called = node.func
    is_logger = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "_log"
    is_write = isinstance(called, ast.Name) and called.id == "write" and isinstance(node.args[-1], ast.Dict)
    level = (
        _LEVELS.get(called.attr) if isinstance(called, ast.Attribute) and is_logger else "info" if is_write else None
    )
    if not level:
        return
    for text in ast.walk(node.args[0]):
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield text.value, level


def registries() -> dict[str, CollectorRegistry]:
    """The metrics of each program."""
    admission, cache, controller = Metrics(), CacheMetrics(), ControllerMetrics()
    admission.watch_inventory(float, lambda: None)
    cache.watch(dict.fromkeys(GAUGES, float))
    controller.watch({})
    return {"webhook": admission._registry, "controller": controller._registry, "node_cache": cache._registry}


def metrics_page() -> str:
    """The page about metrics."""
    page = METRICS_PAGE
    for name, registry in registries().items():
        page = page.replace(f"{{{name}}}", _metrics_of(registry))
    return page


def reasons_page() -> str:
    """The page about reasons and events."""
    decided = [
        (f"`{reason}`", decision, meaning)
        for decision, reasons in REASONS.items()
        for reason, meaning in reasons.items()
    ]
    refused = [(f"`{reason}`", meaning) for reason, meaning in refusal_reasons().items()]
    events = [(f"`{name}`", event.about, event.type, event.meaning) for name, event in DESCRIBED.items()]
    cached = [(f"`{name}`", f"`{STATUSES[name].name}`", meaning) for name, meaning in MEANINGS.items()]
    downloads = f"The last line of an init container is JSON with a `reason`: {_listed(download_reasons())}."
    return (
        REASONS_PAGE.replace("{refusals}", table(("reason", "meaning"), refused))
        .replace("{decisions}", table(("reason", "decision", "meaning"), decided))
        .replace("{downloads}", textwrap.fill(downloads, 120))
        .replace("{node_cache}", table(("reason", "status of gRPC", "meaning"), cached))
        .replace("{events}", table(("reason", "of a", "type", "meaning"), events))
    )


def logs_page(checkout: Path) -> str:
    """The page about log lines."""
    rows = [
        (f"`{message}`", ", ".join(sorted(levels)), ", ".join(sorted(writers)))
        for message, (levels, writers) in sorted(log_lines(checkout).items())
    ]
    return LOGS_PAGE.replace("{lines}", table(("message", "level", "written by"), rows))


def download_reasons() -> list[str]:
    """The reasons with which an init container can end."""
    return sorted({*re.findall(r"(?:finish |reason=)([A-Z]\w+)", SCRIPT), *(error.reason for error in KNOWN_ERRORS)})


def metric_families(registry: CollectorRegistry) -> list[tuple[str, str, tuple[str, ...], str]]:
    """The name, type, labels and help text of each metric, but those of every process."""
    found = {
        collector for collector in registry._names_to_collectors.values() if isinstance(collector, MetricWrapperBase)
    }
    return sorted(
        (
            collector._name + ("_total" if collector._type == "counter" else ""),
            str(collector._type),
            tuple(collector._labelnames),
            collector._documentation,
        )
        for collector in found
    )


def _classes(parent: type[Refusal]) -> Iterator[type[Refusal]]:
    for child in parent.__subclasses__():
        if child.__module__.startswith("webhook."):
            yield child
        yield from _classes(child)


def _metrics_of(registry: CollectorRegistry) -> str:
    rows = [(f"`{name}`", kind, _listed(labels), text) for name, kind, labels, text in metric_families(registry)]
    return table(("metric", "type", "labels", "meaning"), rows)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
