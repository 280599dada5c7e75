"""A release of the chart, installed by helm.

In a cluster with nodes, its pods run. Without nodes, the webhook and the controller run on this machine, with the
settings, the service accounts and the rights that the release gave them, and the release's Service leads to them.
"""

import json
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.e2e.cluster import JSON, Cluster, CommandFailed, run
from tests.e2e.control_plane import write_kubeconfig
from tests.e2e.store import KEYS, Store
from tests.support.programs import helms, running_server
from tests.support.webhook import Webhook, running_webhook

CHART = Path(__file__).parents[2] / "charts" / "model-injector"
_IS_WAITING = re.compile(r'"message":"(waiting for election)"')
_SAMPLE = re.compile(r"^(\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)
_IGNORED = ("events", "events.events.k8s.io", "componentstatuses")
"""Kinds whose objects come and go by themselves."""
_ANSWERED = tuple(f"model_injector_{name}_total" for name in ("decisions", "bad_requests", "errors"))
_INJECTED = re.compile(r'model_injector_decisions_total\{.*decision="injected"')


class Calls(NamedTuple):
    """How many requests the webhook has answered, whatever the answer was, and how many of them with a model.

    It counts after it has answered. So a test waits until its last pod, which gets a model, is counted.
    """

    answered: float
    injected: float


@dataclass(frozen=True)
class Release:
    """An installed release."""

    cluster: Cluster
    name: str = "model-injector"
    namespace: str = "model-injector"
    processes: dict[str, Webhook] = field(default_factory=dict)
    """The webhook of this machine, if it runs here."""

    def settings(self) -> JSON:
        """The settings that the chart wrote."""
        content = self.cluster.get("configmap", self.name, self.namespace)["data"]["settings.yaml"]
        found: JSON = yaml.safe_load(content)
        return found

    def metrics(self) -> dict[str, float]:
        """The sum of the webhooks' metrics, by name and labels."""
        if self.processes:
            return self.processes["webhook"].metrics()
        return metrics_of(self.cluster, self.namespace, "app.kubernetes.io/component=webhook")

    def calls(self) -> Calls:
        """How often the webhook was called so far."""
        values = self.metrics().items()
        answered = sum(value for sample, value in values if sample.startswith(_ANSWERED))
        return Calls(answered, sum(value for sample, value in values if _INJECTED.match(sample)))


def metrics_of(cluster: Cluster, namespace: str, selector: str) -> dict[str, float]:
    """The sum of the metrics of some pods, by name and labels."""
    total: dict[str, float] = {}
    for pod in cluster.objects("pods", namespace, f"--selector={selector}"):
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        for name, value in _SAMPLE.findall(cluster.kubectl("get", "--raw", path)):
            total[name] = total.get(name, 0) + float(value)
    return total


def helm(cluster: Cluster, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
    """Run the newest helm; gives what it prints. Raises CommandFailed."""
    given = ("--values=-",) if values is not None else ()
    content = json.dumps(values) if values is not None else None
    return run([helms()["newest"], *arguments, *given], cluster.kubeconfig, content)


def image() -> JSON:
    """The value `image` of the chart: IMAGE is REPOSITORY:TAG."""
    repository, _, tag = os.environ.get("IMAGE", "model-injector:e2e").rpartition(":")
    return {"repository": repository, "tag": tag}


def values_of(cluster: Cluster, store: Store) -> JSON:
    """The values with which the tests install the chart: everything that the cluster can have is enabled."""
    keys = [{"name": name, "value": value} for name, value in KEYS.items()]
    fetch = {"env": keys, **({"image": os.environ["FETCH_IMAGE"]} if "FETCH_IMAGE" in os.environ else {})}
    return {
        "image": image(),
        "env": keys,
        "replicaCount": 2 if cluster.runs_pods else 1,
        "controller": {"enabled": True, "replicaCount": 1},
        "nodeCache": {"enabled": True},
        "guard": {"enabled": cluster.version >= (1, 30)},
        "config": {
            **store.settings,
            "catalog": {"mode": "s3", "preflight": "enforce", "refreshSeconds": 5},
            "inventory": {"enabled": True, "refreshSeconds": 2},
            "fetch": fetch,
            "server": {"drain": 1},
            "loads": [{"models": ["loaded-*"], "strategy": "shared-volume", "namespaces": ["e2e-loads-*"]}],
            "controller": {"rollouts": {"enabled": True, "pause": 0}},
            "strategies": {
                "shared-volume": {"sharing": "none", "storageClass": "e2e"},
                "node-image": {"volume": "hostPath", "path": "/var/lib/model-injector-e2e/models"},
                "oci-image": {"image": "registry.example.com/models/{model}:{version}"},
                "volume": {"source": {"persistentVolumeClaim": {"claimName": "models"}}},
                "node-cache": {
                    "authenticationSource": "driver",
                    "kubeletFolder": os.environ.get("KUBELET_FOLDER", "/var/lib/kubelet"),
                    "folder": "/var/lib/model-injector-e2e/cache",
                },
            },
        },
    }


@contextmanager
def installed(cluster: Cluster, store: Store, folder: Path) -> Iterator[Release]:
    """Install the chart for as long as the context lasts, and wait until the webhook answers."""
    release = Release(cluster)
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}  # for the node cache
    namespace = {"name": release.namespace, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    install = ("install", release.name, CHART, "--namespace", release.namespace)
    wait = ("--wait", "--timeout=240s") if cluster.runs_pods else ()
    with ExitStack() as stack:
        if cluster.runs_pods:  # one that ends with the tests needs no care
            stack.enter_context(_leaving_nothing(release))
        helm(cluster, *install, *wait, values=values_of(cluster, store))
        if not cluster.runs_pods:
            stack.enter_context(_processes(release, folder))
        cluster.until(lambda: answers(cluster), lambda: "the webhook does not answer")
        yield release


@contextmanager
def _processes(release: Release, folder: Path) -> Iterator[None]:
    """Run the webhook and the controller on this machine in place of the release's pods."""
    name = release.name
    settings = release.settings()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = {**settings["server"], "host": "127.0.0.1", "port": port, "opsPort": 0}
    settings = {**settings, "server": server}
    _lead(release, port)
    with ExitStack() as stack:
        webhook = _folder(folder, "webhook")
        env = _identity(release, name, webhook)
        release.processes["webhook"] = stack.enter_context(running_webhook(webhook, settings, env=env))
        controller = _folder(folder, "controller")
        config = controller / "settings.yaml"
        config.write_text(yaml.safe_dump(settings))
        command = (sys.executable, "-m", "webhook", "controller", "--config", config)
        env = {**os.environ, **_identity(release, f"{name}-controller", controller)}
        stack.enter_context(running_server(command, ready=_IS_WAITING, log=controller / "log", env=env))
        yield


def _lead(release: Release, port: int) -> None:
    """Let the release's Service lead to a port of this machine."""
    external = {"spec": {"type": "ExternalName", "externalName": "localhost", "clusterIP": None, "clusterIPs": None}}
    where = ("--namespace", release.namespace)
    release.cluster.kubectl("patch", "service", release.name, *where, "--patch", json.dumps(external))
    kind = ("mutatingwebhookconfiguration", "model-injector")
    entries = release.cluster.get(*kind)["webhooks"]
    ports = [
        {"op": "replace", "path": f"/webhooks/{index}/clientConfig/service/port", "value": port}
        for index in range(len(entries))
    ]
    release.cluster.kubectl("patch", *kind, "--type=json", "--patch", json.dumps(ports))


def _identity(release: Release, account: str, folder: Path) -> dict[str, str]:
    """The environment of a process that has a service account of the release, and the keys of the store."""
    token = release.cluster.kubectl("create", "token", account, "--namespace", release.namespace, "--duration=2h")
    admin = json.loads(release.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = Path(admin["certificate-authority"]).read_bytes()
    return {
        **KEYS,
        "KUBECONFIG": str(write_kubeconfig(folder / "kubeconfig", admin["server"], authority, token.strip())),
    }


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def answers(cluster: Cluster, prefix: str = "model-injector.io") -> bool:
    """Whether the webhook for annotations with this prefix decides about a pod, which is not stored."""
    metadata = {"name": "probe", "annotations": {f"{prefix}/model": "../"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "app", "image": "none"}]},
    }
    try:
        cluster.create(pod, options=("--dry-run=server",))
    except CommandFailed as failed:
        return "denied the request" in str(failed)
    return False


@contextmanager
def _leaving_nothing(release: Release) -> Iterator[None]:
    """Uninstall the release in the end, and wait until the cluster has no object that it had not before."""
    cluster, namespace = release.cluster, release.namespace

    def has_what_each_namespace_gets() -> bool:
        return cluster.has("serviceaccount", "default", namespace) and cluster.has(
            "configmap", "kube-root-ca.crt", namespace
        )

    cluster.until(has_what_each_namespace_gets, lambda: f"the namespace {namespace} stays empty")
    before = objects(cluster, namespace)
    try:
        yield
    finally:
        helm(cluster, "uninstall", release.name, "--namespace", namespace, "--wait", "--ignore-not-found")
    cluster.until(lambda: objects(cluster, namespace) <= before, lambda: objects(cluster, namespace) - before)
    cluster.kubectl("delete", "namespace", namespace)


def objects(cluster: Cluster, namespace: str) -> set[str]:
    """The objects of a namespace, and those that belong to no namespace."""
    found: set[str] = set()
    for scope, where in (("true", ("--namespace", namespace)), ("false", ())):
        listed = ("api-resources", "--verbs=list", f"--namespaced={scope}", "--output=name")
        kinds = [kind for kind in cluster.kubectl(*listed).split() if kind not in _IGNORED and "metrics" not in kind]
        names = cluster.kubectl("get", ",".join(kinds), *where, "--output=name", "--ignore-not-found")
        found.update(name for name in names.splitlines() if "/" in name)
    return found
