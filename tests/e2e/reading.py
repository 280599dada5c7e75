"""What the containers of running pods see of their model."""

import json

from tests.e2e.cluster import Cluster, CommandFailed


def await_ready(cluster: Cluster, namespace: str, pod: str = "app") -> None:
    """Wait until a pod is ready. Fails with its state."""
    name = f"pod/{pod}"
    try:
        cluster.kubectl("wait", "--for=condition=Ready", name, "--namespace", namespace, "--timeout=180s")
    except CommandFailed:
        raise AssertionError(cluster.kubectl("describe", name, "--namespace", namespace)) from None


def files_of(cluster: Cluster, namespace: str, target: str = "pod/app") -> dict[str, str]:
    """The files of the model that a running container has printed, by path."""
    kind, _, name = target.partition("/")
    if kind == "pod":
        await_ready(cluster, namespace, name)

    def log() -> str:
        return cluster.kubectl("logs", target, "--container=app", "--namespace", namespace).partition("\n")[0]

    cluster.until(lambda: log().startswith("{"), log)
    found: dict[str, str] = json.loads(log())
    return found
