"""`model-injector cache`: what the caches of the nodes have."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from webhook.commands.options import Commands, add_config, add_context, add_namespace
from webhook.commands.output import add_output, in_units, print_json, print_notes, print_table, print_warnings
from webhook.errors import InvalidInput
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.kubernetes.paging import ListReader, Page
from webhook.settings.loading import load

if TYPE_CHECKING:
    from webhook.node_cache.report import CachedVersion, NodeReport

_SELECTOR: Final = "app.kubernetes.io/component=node-cache"
_NAMESPACE: Final = "model-injector"
_SECONDS: Final = 60
_MOST_PAGES: Final = 20
_THREADS: Final = 16


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    namespace: str


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec


_pods: Final = msgspec.json.Decoder(Page[_Pod])


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "cache",
        help="list what the caches of the nodes have",
        description="List which versions the caches of the nodes have, how many pods mount them, and the room that is "
        "left. It asks the pods of the node cache through the API server, and needs the rights to list pods and to get "
        "pods/proxy in their namespace.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_output(parser)
    add_namespace(parser, default=_NAMESPACE, text=f"the namespace of the release; default: {_NAMESPACE}")
    add_context(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Returns 1 if a node does not answer."""
    settings = load(options.config)
    api = KubernetesClient(options.context)
    reader = ListReader(api, "the pods of the node cache", _SECONDS, "docs/strategies/node-cache.md has the rights")
    path = f"/api/v1/namespaces/{options.namespace}/pods"
    pods = sorted(reader.items(_pods, path, _MOST_PAGES, _SELECTOR), key=lambda each: each.spec.node_name)
    if not pods:
        raise InvalidInput(
            f"namespace {options.namespace} has no pods of the node cache: the chart's nodeCache.enabled installs it, "
            "and --namespace names the release's namespace"
        )

    def ask(pod: _Pod) -> "NodeReport | str":
        try:
            return _report(api, pod, settings.server.ops_port)
        except ClusterError as error:
            return f"node {pod.spec.node_name}: {error}"

    with ThreadPoolExecutor(_THREADS) as threads:
        answers = list(threads.map(ask, pods))
    reports = [each for each in answers if not isinstance(each, str)]
    print_warnings(each for each in answers if isinstance(each, str))
    if options.output == "json":
        print_json(reports)
    else:
        heads = ("NODE", "MODEL", "VERSION", "SIZE", "PODS", "KEPT", "LAST MOUNTED")
        print_table(heads, [_row(each.node, version) for each in reports for version in each.versions])
        print_notes(
            f"{each.node}: {in_units(each.used)} of {in_units(each.budget)} used, {in_units(each.free)} free"
            for each in reports
        )
    return 0 if len(reports) == len(answers) else 1


def _report(api: KubernetesClient, pod: _Pod, port: int) -> "NodeReport":
    from webhook.node_cache.report import PATH, NodeReport  # noqa: PLC0415 - slow

    path = f"/api/v1/namespaces/{pod.metadata.namespace}/pods/{pod.metadata.name}:{port}/proxy{PATH}"
    response = api.request("GET", path)
    if response.status != HTTPStatus.OK:
        raise ClusterError(f"{response.what}: the answer is {response.status}")
    try:
        return msgspec.json.decode(response.content, type=NodeReport)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ClusterError(f"{response.what}: the answer is not a report") from error


def _row(node: str, version: "CachedVersion") -> tuple[str, ...]:
    size = in_units(version.bytes)
    if version.total is not None:
        return node, version.model, version.version, f"{size} of {in_units(version.total)}", "-", "-", "downloading"
    used = datetime.fromtimestamp(version.used_at or 0, UTC)
    kept = "yes" if version.is_kept else "no"
    return node, version.model, version.version, size, str(version.volumes), kept, f"{used:%Y-%m-%d %H:%M:%SZ}"
