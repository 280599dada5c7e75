"""What webhooks add to the creation of a pod at a real API server, and for how long a lost Secret fails creations.

KUBEBUILDER_ASSETS names a folder with kube-apiserver: it runs on loopback, with the chart installed, and with the
webhook as a process of this machine. POD_IDENTITY_WEBHOOK names the program of AWS's pod-identity-webhook, which then
runs beside it. KUBECONFIG names a cluster instead, in which the webhooks run already. Creations are dry runs, in turn
on one connection. They are counted in the API server's metrics, so nobody else should create pods meanwhile.
"""

import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.creations import Pod, create, pod_to_create, requests_for_one
from benchmarks.lost_secret import lose_secret
from benchmarks.pod_identity import pod_identity
from benchmarks.pods import VARIABLES, example_pod, smallest_pod
from benchmarks.report import Bound, Figure, median, missing
from tests.e2e import control_plane, release, store
from tests.e2e.cluster import Cluster
from tests.support.reviews import JSON
from webhook.kubernetes.client import KubernetesClient

TAKES: Final = "At an API server: milliseconds of the creation of a pod, p50"
COST: Final = "At an API server: milliseconds that webhooks add to the creation of a pod, p50"
COST_OF_SMALLEST: Final = "At an API server: milliseconds that webhooks add to the creation of the smallest pod, p50"
CALLS: Final = "At an API server: requests to webhooks for one pod"
LOST: Final = "At an API server: seconds for which creations of annotated pods fail"
_NONE, _OURS, _THEIRS, _BOTH = "no webhook", "model-injector", "pod-identity-webhook", "both"
_GUARDED: Final = "model-injector with its guard"
_POLICY_SECONDS: Final = 3
"""After which an API server has surely read its policies again, which it does every second."""
_AT_MOST: Final = Bound(1.2)
_NEEDS: Final = "needs KUBEBUILDER_ASSETS, a folder with kube-apiserver and etcd"
_NEEDS_ROLE: Final = "needs POD_IDENTITY_WEBHOOK, the program of that project; in a cluster, --role-account"
_ACCOUNT, _ROLE_ACCOUNT = "apps/app", "roles/app"
_USUAL: Final = example_pod("1.2.3", VARIABLES)


def measure(work: Path, rounds: int, account: str, role_account: str) -> Iterator[Figure]:
    """Measure in the cluster of KUBECONFIG, else at an API server from KUBEBUILDER_ASSETS.

    `role_account` is a service account of the cluster whose pods pod-identity-webhook changes.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if "KUBECONFIG" in os.environ:
        yield from _costs(KubernetesClient(), rounds, account, role_account)
    elif assets:
        yield from _with_api_server(Path(assets), work, rounds)
        return
    else:
        yield missing(CALLS, _OURS, _NEEDS, Bound(1))
        yield missing(COST, f"{_OURS}, to {_THEIRS}", _NEEDS, _AT_MOST)
    yield missing(LOST, "the Secret of the CA is deleted, and the webhook is killed and started", _NEEDS, Bound(10))


def _with_api_server(assets: Path, work: Path, rounds: int) -> Iterator[Figure]:
    program = os.environ.get("POD_IDENTITY_WEBHOOK")
    with ExitStack() as stack:
        kubeconfig = stack.enter_context(control_plane.running(assets, work))
        os.environ["KUBECONFIG"] = str(kubeconfig)  # for the client of this process
        stack.callback(os.environ.pop, "KUBECONFIG")
        cluster = Cluster(kubeconfig, runs_pods=False)
        for account in (_ACCOUNT, _ROLE_ACCOUNT):
            namespace, _, name = account.partition("/")
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            metadata = {"name": name, "namespace": namespace}
            cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        bucket = stack.enter_context(store.running(cluster, work))
        bucket.publish("my-model", "1.2.3")
        running = stack.enter_context(release.installed(cluster, bucket, work))
        if program:
            stack.enter_context(pod_identity(cluster, Path(program), _ROLE_ACCOUNT, work))
        api = KubernetesClient()
        yield _guarded(api, rounds)
        cluster.kubectl("delete", "validatingadmissionpolicybinding", "model-injector")  # off by default
        time.sleep(_POLICY_SECONDS)
        yield from _costs(api, rounds, _ACCOUNT, _ROLE_ACCOUNT if program else "")
        yield from lose_secret(LOST, running, api, pod_to_create(_USUAL, _ACCOUNT, annotated=True))


def _guarded(api: KubernetesClient, rounds: int) -> Figure:
    pods = _pods(_USUAL, _ACCOUNT, "")
    took = _in_turn(api, {_NONE: pods[_NONE], _GUARDED: pods[_OURS]}, rounds)
    return Figure(COST, _GUARDED, "ms", _above(took)[_GUARDED])


def _costs(api: KubernetesClient, rounds: int, account: str, role_account: str) -> Iterator[Figure]:
    pods = _pods(_USUAL, account, role_account)
    for name, pod in pods.items():
        for webhook, count in requests_for_one(api, pod).items():
            yield Figure(CALLS, f"{name}: {webhook}", "", count, bound=Bound(1) if name == _OURS else None)
    took = _in_turn(api, pods, rounds)
    yield from _beside(TAKES, {name: median(taken) for name, taken in took.items()})
    yield from _beside(COST, _above(took), _AT_MOST)
    if not role_account:
        yield missing(COST, f"{_OURS}, to {_THEIRS}", _NEEDS_ROLE, _AT_MOST)
    smallest = _in_turn(api, _pods(smallest_pod("1.2.3"), account, role_account), rounds)
    yield from _beside(COST_OF_SMALLEST, _above(smallest))


def _pods(template: JSON, account: str, role_account: str) -> dict[str, Pod]:
    """Creations of a pod by the webhooks that change it."""
    annotated = {_NONE: (account, False), _OURS: (account, True)}
    if role_account:
        annotated |= {_THEIRS: (role_account, False), _BOTH: (role_account, True)}
    return {name: pod_to_create(template, whose, annotated=asks) for name, (whose, asks) in annotated.items()}


def _beside(group: str, medians: Mapping[str, float], bound: Bound | None = None) -> Iterator[Figure]:
    """Figures in ms. The one of model-injector is compared with that of pod-identity-webhook."""
    for name, value in medians.items():
        figure = Figure(group, name, "ms", value, is_other=name == _THEIRS)
        if name == _OURS and _THEIRS in medians:
            figure = replace(figure, against=_THEIRS, ratio=value / medians[_THEIRS], bound=bound)
        yield figure


def _above(took: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of what each takes longer than the pod without a webhook."""
    bare = took[_NONE]
    return {
        name: median(a - b for a, b in zip(taken, bare, strict=True)) for name, taken in took.items() if name != _NONE
    }


def _in_turn(api: KubernetesClient, pods: Mapping[str, Pod], rounds: int) -> dict[str, list[float]]:
    """The milliseconds of creations. Each round has its own order, because a creation is faster after one like it."""
    took: dict[str, list[float]] = {name: [] for name in pods}
    order, chance = list(pods), random.Random(rounds)  # noqa: S311 - for the same orders in each run
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            took[name].append(create(api, pods[name]))
    return took
