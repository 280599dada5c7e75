"""Measures what webhooks add to the creation of a pod in a cluster, through the kubeconfig. Creates nothing: dry runs.

Each round creates, in turn and on one connection, a pod without annotations and one that asks for a model, for each
service account. If a webhook looks at the pods of one of these accounts only, its rows show what that webhook takes.
The requests to webhooks are counted in the API server's metrics, so nobody else should create pods meanwhile.
"""

import argparse
import json
import re
import statistics
import sys
import time
from collections import Counter
from http import HTTPStatus
from typing import Final, NamedTuple

from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody

_COUNTED: Final = 10
"""Creations of each kind by which the requests to webhooks are counted."""
_REQUESTS: Final = re.compile(
    r'^apiserver_admission_webhook_request_total\{.*?\bname="([^"]*)".*\} (\S+)$', re.MULTILINE
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--context", help="the context of the kubeconfig (its current one)")
    parser.add_argument(
        "accounts",
        nargs="*",
        default=["default/default"],
        metavar="NAMESPACE/ACCOUNT",
        help="the service accounts of the pods (default/default)",
    )
    parser.add_argument("--prefix", default="model-injector.io", help="the prefix of annotations (model-injector.io)")
    parser.add_argument("--rounds", type=int, default=500, help="creations of each kind of pod (500)")
    options = parser.parse_args()
    asking = {f"{options.prefix}/model": "my-model", f"{options.prefix}/version": "1.2.3"}
    pods: dict[tuple[str, str], _Pod] = {}
    for account in options.accounts:
        pods[account, "bare"] = _pod(account, {})
        pods[account, "annotated"] = _pod(account, asking)
    try:
        api = KubernetesClient(options.context)
        counts = {kind: _requests(api, pod) for kind, pod in pods.items()}
        milliseconds: dict[tuple[str, str], list[float]] = {kind: [] for kind in pods}
        for _ in range(options.rounds):
            for kind, pod in pods.items():
                milliseconds[kind].append(_create(api, pod))
    except ClusterError as error:
        sys.exit(f"bench_cluster: {error}")
    base = milliseconds[options.accounts[0], "bare"]
    for (account, annotated), taken in milliseconds.items():
        above = statistics.median(one - other for one, other in zip(taken, base, strict=True))
        print(
            f"{account:20} {annotated:10} p50 {statistics.median(taken):.2f} ms, above the first {above:.2f} ms; "
            f"requests to webhooks: {counts[account, annotated] or 'none'}"
        )
    return 0


class _Pod(NamedTuple):
    path: str
    body: RequestBody


def _pod(account: str, annotations: dict[str, str]) -> _Pod:
    namespace, _, name = account.partition("/")
    spec = {"serviceAccountName": name, "containers": [{"name": "app", "image": "never-pulled"}]}
    metadata = {"generateName": "bench-", "annotations": annotations}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return _Pod(f"/api/v1/namespaces/{namespace}/pods", RequestBody("application/json", pod))


def _create(api: KubernetesClient, pod: _Pod) -> float:
    """The milliseconds that one creation takes."""
    started = time.perf_counter()
    reply = api.request("POST", pod.path, pod.body, query=[("dryRun", "All")])
    taken = (time.perf_counter() - started) * 1000
    if reply.status != HTTPStatus.CREATED:
        raise ClusterError(f"a pod is not created: {json.loads(reply.content).get('message')}")
    return taken


def _requests(api: KubernetesClient, pod: _Pod) -> dict[str, float]:
    """The requests to webhooks for one creation, by the webhook's name."""
    before = _total(api)
    for _ in range(_COUNTED):
        _create(api, pod)
    return {name: count / _COUNTED for name, count in (_total(api) - before).items()}


def _total(api: KubernetesClient) -> Counter[str]:
    total = Counter[str]()
    for name, count in _REQUESTS.findall(api.request("GET", "/metrics").content.decode()):
        total[name] += int(float(count))
    return total


if __name__ == "__main__":
    sys.exit(main())
