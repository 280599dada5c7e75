"""Reports pods as running and ready, in a cluster without nodes: what controllers wait for goes on."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from tests.e2e.cluster import JSON, Cluster, CommandFailed

_PAUSE = 0.3
_CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


@contextmanager
def reporting(cluster: Cluster, namespace: str, is_ready: Callable[[JSON], bool] = lambda _: True) -> Iterator[None]:
    """For as long as the context lasts, the pods of the namespace for which `is_ready` holds are ready.

    Does nothing in a cluster with nodes.
    """
    if cluster.runs_pods:
        yield
        return
    end = Event()
    thread = Thread(target=_report, args=(cluster, namespace, is_ready, end))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _report(cluster: Cluster, namespace: str, is_ready: Callable[[JSON], bool], end: Event) -> None:
    conditions = [{"type": kind, "status": "True"} for kind in _CONDITIONS]
    patch = json.dumps({"status": {"phase": "Running", "conditions": conditions}})
    while not end.wait(_PAUSE):
        for pod in cluster.objects("pods", namespace):
            if pod["status"].get("phase") == "Pending" and is_ready(pod):
                with suppress(CommandFailed):  # deleted meanwhile
                    name = ("pod", pod["metadata"]["name"], "--namespace", namespace)
                    cluster.kubectl("patch", *name, "--subresource=status", "--type=merge", "--patch", patch)
